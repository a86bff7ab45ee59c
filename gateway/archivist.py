"""The archivist: asks archives about studies that are being received, and fetches what is missing and what came before.

Everything that takes an archive's time is done by threads of its own, bounded for each archive and kind of question: a
study waits for an answer no longer than is said where it is decided (`gateway.assembly`), and who hangs holds up nobody
else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from gateway.archivist_rows import ArchivistRows, Prior, Receiving
from gateway.arrivals import Arrivals
from gateway.assembly import Heard
from gateway.completion import EvidenceLog
from gateway.errors import DatabaseAway, GatewayError, Transient
from gateway.fetching import (
    OPEN_STATES,
    Archive,
    ArchivedStudy,
    Fetched,
    PriorOf,
    PriorState,
    Tried,
    missing_here,
    newest_prior,
    not_made_here,
    shortfall,
    should_count,
    should_fetch,
)
from gateway.routing import route_study
from gateway.settings import Settings
from gateway.work import now
from gateway.workers import Workers

log = structlog.get_logger()
_ROUND_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_MOST_WORKERS, _PRIORS_AT_ONCE, _COUNTS_AT_ONCE = 32, 16, 4
_LAST_WORDS_SECONDS = 5.0
_BETWEEN_TRIES = timedelta(seconds=5)


class Archivist:
    """See the module. Does nothing where no policy names an archive and no route asks for a prior."""

    def __init__(self, settings: Settings, archives: Mapping[str, Archive], rows: ArchivistRows, studies: Receiving,
                 evidence: EvidenceLog, indexed: Callable[[], bool], told: Callable[[], None],
                 clock: Callable[[], datetime] = now) -> None:
        """`indexed` waits until what was acknowledged so far is in the index, False when that takes too long; `told` is
        called when a study need not wait for its prior any more."""
        self._settings, self._archives, self._rows, self._studies = settings, archives, rows, studies
        self._evidence, self._told, self._clock = evidence, told, clock
        self._arrivals = Arrivals(rows.here, indexed)
        policies = [settings.assembly, *map(settings.assembly.of_sender, settings.assembly.senders)]
        self._counts = any(policy.count_from for policy in policies)
        self._priors = any(route.prior == "newest" for route in settings.routes)
        self._tried: dict[int, Tried] = {}
        self._considered: dict[int, int] = {}
        self._workers = Workers("archivist", _MOST_WORKERS)
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="archivist", daemon=True)

    def start(self) -> None:
        if self._counts or self._priors:
            self._thread.start()

    def stop(self) -> None:
        """What is being fetched is fetched again after the next start."""
        self._stopping.set()
        self._woken.set()
        self._arrivals.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._workers.wait(_LAST_WORDS_SECONDS)

    def arrived(self) -> None:
        """The index has changed: there may be a study to ask about, and what an archive was asked for may have come.
        From any thread."""
        self._woken.set()
        self._arrivals.note()

    def waits(self, study_id: int, at: datetime) -> float:
        """Seconds that a complete study still waits for its prior."""
        if not self._priors:
            return 0.0
        try:
            found = self._rows.prior_of(study_id) or self._consider(study_id)
        except Transient:
            raise
        except Exception as error:
            # Whatever is wrong with a prior holds up no reading.
            log.exception("prior_fault", study=study_id, error=type(error).__name__)
            return 0.0
        if found is None or found.state not in OPEN_STATES:
            return 0.0
        return max(0.0, (found.wait_until - at).total_seconds())

    # ------------------------------------------------------------ rounds

    def _work(self) -> None:
        while not self._stopping.wait(_ROUND_SECONDS):
            self._woken.clear()
            try:
                busy = self.look()
            except Transient as error:
                busy = True
                log.warning("archivist_waits", error=str(error))
            except Exception as error:
                # The thread must outlive any one study that it cannot deal with.
                busy = False
                log.exception("archivist_fault", error=type(error).__name__)
            if not busy:
                self._woken.wait(_IDLE_SECONDS)

    def look(self) -> bool:
        """One round; whether there is anything to look after."""
        heard = dict(self._studies.receiving())
        names = self._rows.named(list(heard)) if heard else {}
        for study_id, uid in names.items():
            if self._counts:
                self._ask(study_id, uid, heard[study_id])
            if self._priors and self._considered.get(study_id) != heard[study_id].revision:
                self._considered[study_id] = heard[study_id].revision
                self._consider(study_id)
        wanted = self._rows.open_priors() if self._priors else ()
        for prior in wanted:
            self._workers.start(("prior", prior.study_instance_uid), partial(self._look_for, prior),
                                at_once=_PRIORS_AT_ONCE)
        self._forget(names)
        return bool(heard or wanted)

    def _forget(self, names: Iterable[int]) -> None:
        known = set(names)
        self._tried = {study_id: tried for study_id, tried in self._tried.items() if study_id in known}
        self._considered = {study_id: seen for study_id, seen in self._considered.items() if study_id in known}

    # ------------------------------------------------------------ how many, and what is missing

    def _ask(self, study_id: int, uid: str, heard: Heard) -> None:
        policy = self._settings.assembly.of_sender(heard.sender)
        archive = self._archives.get(policy.count_from)
        if archive is None:
            return
        at, tried = self._clock(), self._tried.get(study_id, Tried())
        if should_count(heard, tried, at, policy) and self._workers.start(
                ("count", archive.name, uid), partial(self._count, archive, uid), at_once=_COUNTS_AT_ONCE):
            tried = replace(tried, counted_at=at)
        if archive.retrieves and should_fetch(heard, tried, at, self._settings.assembly) and self._workers.start(
                ("fetch", archive.name), partial(self._fetch, archive, uid)):
            tried = replace(tried, fetched_at=at, fetches=tried.fetches + 1)
        self._tried[study_id] = tried

    def _count(self, archive: Archive, uid: str) -> None:
        try:
            count = archive.count(uid)
            if count and (made := self._rows.made(uid)):
                count = not_made_here(count, archive.instances(uid), made)
        except DatabaseAway:
            raise
        except GatewayError as error:
            log.warning("archive_does_not_count", archive=archive.name, error=str(error))
            self._evidence.uncounted(uid, archive.name, self._clock())
            return
        if count is not None:  # else it may not have the study yet, and is asked again
            self._evidence.counted(uid, archive.name, count, self._clock())

    def _fetch(self, archive: Archive, uid: str) -> None:
        try:
            held = archive.instances(uid)
            wanted = missing_here(held, self._rows.here(uid))
            if not wanted:
                log.info("archive_has_no_more", archive=archive.name, objects=len(held))
                return
            fetched = archive.fetch(uid, wanted, held)
        except GatewayError as error:
            log.warning("archive_does_not_send", archive=archive.name, error=str(error))
            return
        came = self._arrivals.came(uid, wanted, fetched)
        if why := shortfall(len(wanted), came, fetched):
            log.warning("missing_objects_did_not_come", archive=archive.name, error=why)
        else:
            log.info("missing_objects_fetched", archive=archive.name, objects=came)

    # ------------------------------------------------------------ the prior

    def _consider(self, study_id: int) -> Prior | None:
        """Note that a prior is wanted, where a rule that takes the study asks for one."""
        found = self._rows.sample(study_id)
        if found is None:
            return None
        asking = [route for route in route_study(self._settings.routes, *found)[0] if route.prior == "newest"]
        if not asking:
            return None
        at = self._clock()
        return self._rows.want(study_id, at + timedelta(seconds=max(route.prior_wait_seconds for route in asking)), at)

    def _look_for(self, prior: Prior) -> None:
        state, error = self._obtain(prior)
        if self._stopping.is_set():
            return  # what was not awaited to its end is asked for after the next start
        at = self._clock()
        if state is PriorState.FAILED and at + _BETWEEN_TRIES < prior.wait_until:
            log.warning("prior_not_fetched", error=error)
            self._stopping.wait(_BETWEEN_TRIES.total_seconds())
            return  # still wanted: the next round tries again
        self._rows.ended(prior.study_instance_uid, state, error, at)
        log.info("prior_settled", state=state.value, error=error)
        self._told()

    def _obtain(self, prior: Prior) -> tuple[PriorState, str]:
        """(what came of it, why it failed)."""
        found = self._rows.sample(prior.study_id)
        if found is None:
            return PriorState.FAILED, "the study is gone"
        study = PriorOf.of_study(found[0])
        if not study.askable:
            return PriorState.NONE, "the study names no patient id that can be asked for"
        known, errors = self._known(study)
        newest = newest_prior(study, known)
        if newest is None:
            return (PriorState.FAILED, "; ".join(errors)) if errors else (PriorState.NONE, "")
        archive = known[newest]
        if not self._rows.fetching(prior.study_instance_uid, newest.study_instance_uid, archive.name,
                                   archive.ae_title):
            return PriorState.HERE, ""
        return self._bring(archive, newest.study_instance_uid)

    def _known(self, study: PriorOf) -> tuple[dict[ArchivedStudy, Archive], list[str]]:
        """Studies of the patient and who holds them; why an archive could not tell."""
        known: dict[ArchivedStudy, Archive] = {}
        errors: list[str] = []
        for archive in self._archives.values():
            if archive.retrieves:
                try:
                    for one in archive.studies_of(study.patient_id):
                        known.setdefault(one, archive)
                except GatewayError as error:
                    errors.append(f"{archive.name}: {error}")
        return known, errors

    def _bring(self, archive: Archive, uid: str) -> tuple[PriorState, str]:
        try:
            held = archive.instances(uid)
            here = self._rows.here(uid)
            if not held and not here:
                return PriorState.FAILED, f"{archive.name}: the archive names no object of the study"
            wanted = missing_here(held, here)
            fetched = archive.fetch(uid, wanted, held) if wanted else Fetched(0)
        except DatabaseAway:
            raise  # not the archive's fault: a later round tries again
        except GatewayError as error:
            return PriorState.FAILED, f"{archive.name}: {error}"
        why = shortfall(len(wanted), self._arrivals.came(uid, wanted, fetched), fetched)
        return (PriorState.FAILED, f"{archive.name}: {why}") if why else (PriorState.FETCHED, "")
