"""Reader of 12-lead ECGs for infarction and its site."""
