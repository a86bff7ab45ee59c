"""`worklist`, `cases` and `deliveries`: what the running gateway knows, and what can be ordered of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from adapters.cli import output
from adapters.cli.options import Config, Json, Limit, Session, Url, session
from adapters.cli.services import CliServices
from adapters.web.presentation import as_time, line, mark, proof
from gateway.case import CaseState
from gateway.delivery import DeliveryState
from gateway.errors import Rejected
from gateway.result import Verdict
from gateway.study import Priority

CaseId = Annotated[str, typer.Argument(metavar="ID", help="The whole case id, as `cases` lists it.")]


Values = list[str] | None
Modality = Annotated[Values, typer.Option("--modality", help="Only these; may be repeated.")]
Verdicts = Annotated[list[Verdict] | None, typer.Option("--verdict", help="Only these; may be repeated.")]
States = Annotated[list[CaseState] | None, typer.Option("--state", help="Only these; may be repeated.")]
Findings = Annotated[Values, typer.Option("--finding", help="Only with this finding, by its label.")]
Search = Annotated[str, typer.Option("--search", help="Words in name, patient id or accession number.")]


def add_worklist(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway worklist --verdict pathology --limit 20")
    def worklist(url: Url = None, config: Config = None, as_json: Json = False, limit: Limit = 50,
                 modality: Modality = None, verdict: Verdicts = None, state: States = None, finding: Findings = None,
                 search: Search = "",
                 cursor: Annotated[str | None, typer.Option("--cursor", help="Where the last list ended.")] = None,
                 ) -> None:
        """The worklist, sickest first, as the page shows it."""
        asked = session(services, url, config)
        wanted: dict[str, Any] = {name: list(map(str, values)) for name, values in {
            "modality": modality, "verdict": verdict, "state": state, "finding": finding}.items() if values}
        wanted |= {"limit": limit} | ({"cursor": cursor} if cursor else {})
        # What people search for goes into a body: addresses end up in logs.
        page = asked.remote.post("/api/worklist/search", wanted | {"text": search}) if search else asked.remote.get(
            "/api/worklist", **wanted)
        if as_json:
            output.say_json(page)
            return
        _print_worklist(page, asked, filtered=bool(search or wanted.keys() - {"limit", "cursor"}))


def _print_worklist(page: dict[str, Any], asked: Session, *, filtered: bool) -> None:
    if not page["items"]:
        output.say(asked.t("no_match" if filtered else "empty"))
        return
    now = datetime.now(UTC)
    output.worklist_table((line(item, asked.t, now) for item in page["items"]), asked.t)
    output.say(asked.t("page_of", shown=len(page["items"]), total=page["total"]), "dim")
    if page["next"]:
        output.say(f"--cursor {page['next']}", "dim")


def add_cases(cli: typer.Typer, services: CliServices) -> None:
    group = typer.Typer(invoke_without_command=True, help="Cases: list, show, cancel, replay, rerun, delete.",
                        epilog="Example: triage-gateway cases show 3f2a9c0b71d4e8a65b90")
    cli.add_typer(group, name="cases")

    @group.callback()
    def cases(context: typer.Context, url: Url = None, config: Config = None, as_json: Json = False,
              limit: Limit = 50) -> None:
        if context.invoked_subcommand is None:
            _list_cases(session(services, url, config), limit, as_json)

    @group.command(epilog="Example: triage-gateway cases show 3f2a9c0b71d4e8a65b90")
    def show(case_id: CaseId, url: Url = None, config: Config = None, as_json: Json = False) -> None:
        """One case in full."""
        asked = session(services, url, config)
        case = asked.remote.get(f"/api/cases/{_segment(case_id)}")
        output.say_json(case) if as_json else _show_case(case, asked)

    @group.command(epilog="Example: triage-gateway cases cancel 3f2a9c0b71d4e8a65b90")
    def cancel(case_id: CaseId, url: Url = None, config: Config = None) -> None:
        """Stop waiting for or reading a case."""
        session(services, url, config).remote.post(f"/api/cases/{_segment(case_id)}/cancel")
        output.say(f"Cancelled: {case_id}")

    @group.command(epilog="Example: triage-gateway cases replay 3f2a9c0b71d4e8a65b90")
    def replay(case_id: CaseId, url: Url = None, config: Config = None) -> None:
        """The same version again: read a failed or cancelled case, deliver a reported one."""
        done = session(services, url, config).remote.post(f"/api/cases/{_segment(case_id)}/replay")
        output.say(f"Replayed: {case_id}, run {done['run_id']}")

    _add_case_changes(group, services)


def _add_case_changes(group: typer.Typer, services: CliServices) -> None:
    @group.command(epilog="Example: triage-gateway cases rerun 3f2a9c0b71d4e8a65b90")
    def rerun(case_id: CaseId, url: Url = None, config: Config = None) -> None:
        """Read a case anew with the models and rules of now; the new run supersedes the last."""
        done = session(services, url, config).remote.post(f"/api/cases/{_segment(case_id)}/rerun")
        output.say(f"Read anew: {case_id}, run {done['run_id']}")

    @group.command(epilog="Example: triage-gateway cases priority 3f2a9c0b71d4e8a65b90 stat")
    def priority(case_id: CaseId, priority: Annotated[Priority, typer.Argument()], url: Url = None,
                 config: Config = None) -> None:
        """Have a case read sooner or later."""
        session(services, url, config).remote.put(f"/api/cases/{_segment(case_id)}/priority",
                                                  {"priority": priority.value})
        output.say(f"Priority {priority.value}: {case_id}")

    @group.command(epilog="Example: triage-gateway cases delete 3f2a9c0b71d4e8a65b90 --force")
    def delete(case_id: CaseId, url: Url = None, config: Config = None,
               force: Annotated[bool, typer.Option("--force", help="Also while it is under way.")] = False) -> None:
        """Delete the study of a case, with all its cases and files; a line of audit stays."""
        remote = session(services, url, config).remote
        case = remote.get(f"/api/cases/{_segment(case_id)}")
        found = remote.post("/api/studies/search", {"study_instance_uid": case["study_instance_uid"]})["items"]
        if not found:
            raise Rejected("There is no such study.")
        remote.delete(f"/api/studies/{found[0]['study_id']}", force=str(force).lower())
        output.say(f"Deleted: the study of {case_id}")


def _segment(case_id: str) -> str:
    """Case ids are letters and digits: nothing else may reach the address."""
    if not case_id.isalnum():
        raise Rejected("A case id holds letters and digits only.")
    return case_id


def _list_cases(asked: Session, limit: int, as_json: bool) -> None:
    page = asked.remote.get("/api/cases", limit=limit)
    if as_json:
        output.say_json(page)
        return
    now, t = datetime.now(UTC), asked.t
    lines = [(item, line(item, t, now)) for item in page["items"]]
    output.table(
        (t("case"), t("pipeline"), t("col_verdict"), t("col_risk"), t("col_state"), t("col_patient"), t("received")),
        ((told.case_id, item["pipeline"], output.cell(f"{told.symbol} {told.word}", output.TONES[told.tone]),
          told.risk_text, told.state_word, told.patient, _when(item["received_at"])) for item, told in lines),
        right=(t("col_risk"),))


def _show_case(case: dict[str, Any], asked: Session) -> None:
    t = asked.t
    told = line(case, t, datetime.now(UTC))
    who = (told.patient, told.patient_id, told.age_sex, told.modality)
    output.say(" · ".join(part for part in who if part), "bold")
    output.say(f"{told.symbol} {told.word}  {t('risk')} {told.risk_text}", output.TONES[told.tone])
    if told.demonstration:
        output.say(t("demonstration"), "reverse")
    output.pairs({t("case"): case["case_id"], t("col_state"): told.state_word, t("why"): told.why,
                  t("summary"): case["summary"], t("pipeline"): case["pipeline"],
                  t("received"): _when(case["received_at"]),
                  t("reported"): _when(case["reported_at"]), t("accession"): case["accession_number"],
                  t("clinical_question"): (case["order"] or {}).get("clinical_question")})
    if case["findings"]:
        output.table((t("findings"), t("probability"), t("threshold"), ""), (
            (f["display"], f"{f['probability']:.3f}", f"{f['threshold']:.3f}",
             output.cell(t("present"), "bold red") if f["present"] else output.cell(t("absent"), "dim"))
            for f in case["findings"]), right=(t("probability"), t("threshold")))
    if case["ledger"]:
        _print_ledger(case["ledger"], asked)


def add_deliveries(cli: typer.Typer, services: CliServices) -> None:
    group = typer.Typer(invoke_without_command=True, help="Deliveries: list them, try failed ones again.",
                        epilog="Example: triage-gateway deliveries --state dead")
    cli.add_typer(group, name="deliveries")

    @group.callback()
    def deliveries(context: typer.Context, url: Url = None, config: Config = None, as_json: Json = False,
                   state: Annotated[DeliveryState | None, typer.Option("--state", help="Only these.")] = None,
                   destination: Annotated[str | None, typer.Option("--destination", help="Only to this one.")] = None,
                   case: Annotated[str | None, typer.Option("--case", help="Only of this case, by its id.")] = None,
                   cursor: Annotated[str | None, typer.Option("--cursor", help="Where the last list ended.")] = None,
                   limit: Limit = 100) -> None:
        if context.invoked_subcommand is not None:
            return
        asked = session(services, url, config)
        found = asked.remote.get("/api/deliveries", state=state.value if state else None, limit=limit, cursor=cursor,
                                 destination=destination, case_id=case)
        if as_json:
            output.say_json(found)
            return
        _print_ledger(found["items"], asked)
        if found["next"]:
            output.say(f"--cursor {found['next']}", "dim")

    @group.command(epilog="Example: triage-gateway deliveries retry --destination PACS")
    def retry(delivery_id: Annotated[int | None, typer.Argument(metavar="ID",
                                                                help="One delivery, as `deliveries` lists it.")] = None,
              destination: Annotated[str, typer.Option(help="All that is dead or waits, to it.")] = "",
              every: Annotated[bool, typer.Option("--all", help="All that is dead or waits.")] = False,
              url: Url = None, config: Config = None) -> None:
        """Try deliveries again, now."""
        if (delivery_id is not None) + bool(destination) + every != 1:
            raise typer.BadParameter("name one delivery ID, a --destination, or --all")
        remote = session(services, url, config).remote
        done = remote.post("/api/deliveries/retry", {"destination": destination}) if delivery_id is None \
            else remote.post(f"/api/deliveries/{delivery_id}/retry")
        output.say(f"Tried again: {done['retried']}")
        if not done["retried"]:
            output.say("None is dead" + (f" for {destination}" if destination else "") + ". A pending one is tried at "
                       "once by its ID, as `triage-gateway deliveries` lists it.", "dim")


def _print_ledger(items: list[dict[str, Any]], asked: Session) -> None:
    t = asked.t
    if not items:
        output.say(t("no_deliveries"))
        return
    output.table(("ID", t("case"), t("destination"), t("document"), t("col_state"), t("attempts"), t("proof")), (
        (d["delivery_id"], d["case_id"], d["destination"], t(f"kind.{d['kind']}"), _delivery_state(d, asked),
         d["attempts"], _proof(d, asked)) for d in items), right=("ID", t("attempts")))


def _delivery_state(delivery: dict[str, Any], asked: Session) -> Any:
    symbol = mark(delivery, asked.t).symbol
    return output.cell(f"{symbol} {asked.t('delivery.' + delivery['state'])}", output.DELIVERIES[delivery["state"]])


def _proof(delivery: dict[str, Any], asked: Session) -> str:
    if delivery["state"] != "delivered" and delivery["last_error"]:
        return str(delivery["last_error"])
    return ", ".join(f"{name} {value}" for name, value in proof(delivery["receipt"], asked.t))


def _when(time: str | None) -> str:
    return "" if time is None else as_time(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
