"""What the engine's workflows do: plan a study, perform a run, attempt a delivery. Safe to do again after a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from gateway.assembly import Handover, Heard, Wait, decide
from gateway.case import Completeness, Reading
from gateway.delivery import DeliveryState, Destination, Document, Receipt
from gateway.errors import GatewayError, Permanent, Rejected, Transient
from gateway.pipeline import Analysis, Pipeline, Selection
from gateway.planning import Planner
from gateway.ports import Inference
from gateway.publishing import Publisher
from gateway.reading import Fulfilment, read, undetermined
from gateway.repository import DeliveryTicket, Engine, Job, Next, Repository
from gateway.result import Problem, Provenance
from gateway.retry import Dead, next_delivery, next_reading
from gateway.settings import Settings
from gateway.translation import OWN_WORDS, Words, in_language

log = structlog.get_logger()
_PLAN_AGAIN_SECONDS = 5.0


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """What the work is done with."""

    repository: Repository
    planner: Planner
    pipelines: Mapping[str, Pipeline]
    fulfilment: Fulfilment
    inference: Inference
    publisher: Publisher
    destinations: Mapping[str, Destination]
    words: Mapping[str, Words] = field(default_factory=dict)
    """By language: what the loaders say of a study."""


class Work:
    """Acts on the pure decisions. One instance per process; thread-safe."""

    def __init__(self, parts: Parts, settings: Settings, clock: Callable[[], datetime] = now,
                 reported: Callable[[str, float], None] = lambda _pipeline, _seconds: None,
                 indexed: Callable[[], bool] = lambda: True,
                 held_back: Callable[[int, datetime], float] = lambda _study, _at: 0.0) -> None:
        """`reported` is told the pipeline and the seconds from the last object to the first report of a case.

        `indexed` waits until every object acknowledged so far is in the index; False when that takes too long.
        `held_back`: seconds that a complete study still waits for its prior.
        """
        self._parts, self._settings, self._clock, self._reported = parts, settings, clock, reported
        self._indexed, self._held_back = indexed, held_back
        self._repository = parts.repository
        self._engine: Engine | None = None
        self._open_since: datetime | None = None

    def use(self, engine: Engine) -> None:
        """The engine needs the work and the work the engine: joined once, at start."""
        self._engine = engine

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "use() was not called"
        return self._engine

    # ------------------------------------------------------------ studies

    def doors_opened(self) -> None:
        """Senders reach this gateway from now on: the silence before was its own and completes no study."""
        self._open_since = self._clock()

    def assemble_due(self) -> float | None:
        """Hand over every study that is complete; seconds until the next may be, None when none is open."""
        again = [_PLAN_AGAIN_SECONDS for study_id in self._repository.outdated() if not self._planned(study_id)]
        heard = self._repository.receiving()
        if any(isinstance(self._decided(one), Handover) for _, one in heard):
            # What was acknowledged before now is not to come late: it may still be on its way to the index.
            if not self._indexed():
                return _PLAN_AGAIN_SECONDS
            heard = self._repository.receiving()
        for study_id, one in heard:
            decision = self._decided(one)
            if isinstance(decision, Wait):
                again.append(max((decision.until - self._clock()).total_seconds(), 0.0))
            elif (left := self._held_back(study_id, self._clock())) > 0:
                again.append(left)
            elif not self._planned(study_id, decision, one.revision):
                again.append(_PLAN_AGAIN_SECONDS)
        return min(again, default=None)

    def _decided(self, heard: Heard) -> Wait | Handover:
        return decide(heard.since(self._open_since), self._clock(), self._settings.assembly)

    def _planned(self, study_id: int, handover: Handover | None = None, revision: int | None = None) -> bool:
        """False when it is to be tried again. One study that cannot be planned holds up no other."""
        try:
            self.plan(study_id, handover, revision)
        except Transient as error:
            log.warning("study_waits_for_plan", study=study_id, error=str(error))
            return False
        except Exception as error:
            log.exception("plan_crashed", study=study_id, error=type(error).__name__)
            self._repository.unplannable(study_id, f"the study could not be planned ({type(error).__name__})")
        return True

    def plan(self, study_id: int, handover: Handover | None = None, revision: int | None = None) -> None:
        """Route the study and queue its runs. Again with nothing new changes nothing.

        `handover`: as decided, None: as it was handed over last. `revision`: of the study when that was decided; what
        has come since is thought over once more, unless it goes on as partial in any case.
        """
        found = self._repository.plannable(study_id)
        if found is None:
            return
        handover = handover or found.recorded
        if revision not in (None, found.revision) and handover.completeness is not Completeness.PARTIAL:
            return
        plan = self._parts.planner.plan(found, handover)
        for ticket in self._repository.record_plan(plan, self._clock()):
            self.engine.enqueue_run(ticket)
            log.info("run_queued", run_id=ticket.run_id, priority=ticket.priority.value)

    # ------------------------------------------------------------ runs

    def perform(self, run_id: str, attempt: int) -> list[Next]:
        """One reading, to `reported`, `failed` or queued again; returns what is to be queued next."""
        if not self._repository.begin(run_id, attempt):
            return self._instead(run_id)
        job = self._job(run_id)
        if job is None:
            return []
        try:
            return _at_once(self._read_and_publish(job))
        except Transient as error:
            return self._postpone(job, error)
        except GatewayError as error:
            self._fail(job, str(error))
        except Exception as error:
            # A reader's own fault must end as `failed` on the worklist, not as a workflow that nobody sees.
            log.exception("run_crashed", run_id=run_id, error=type(error).__name__)
            self._fail(job, f"the {job.pipeline} reader stopped with {type(error).__name__}")
        return []

    def _job(self, run_id: str) -> Job | None:
        try:
            return self._repository.job(run_id)
        except Transient:
            raise
        except Exception as error:
            log.exception("run_not_loaded", run_id=run_id, error=type(error).__name__)
            self._repository.fail(run_id, f"what the run reads could not be loaded ({type(error).__name__})",
                                  self._clock())
            return None

    def _instead(self, run_id: str) -> list[Next]:
        """What follows a reading that is over, or that another attempt has taken up: a crash may have kept it back."""
        waiting = self._repository.waiting(run_id)
        if waiting is None:
            return _at_once(self._repository.tickets_of(run_id))
        decision = next_reading(waiting.attempt, self._settings.engine.attempts)
        return [(waiting, timedelta() if isinstance(decision, Dead) else decision.after)]

    def _read_and_publish(self, job: Job) -> Sequence[DeliveryTicket]:
        pipeline = self._parts.pipelines.get(job.pipeline)
        if pipeline is None:
            raise Permanent(f"there is no pipeline {job.pipeline}")
        selection = pipeline.select(job.study)
        site = self._settings.site
        analysis = in_language(self._read(pipeline, job, selection), self._words(pipeline, site.language),
                               site.language)
        reading = Reading(job.run, job.study, selection, analysis.result, site.facility, site.timezone, site.language,
                          job.completeness, procedure=pipeline.procedure, missing=job.missing)
        filed = self._parts.publisher.publish(reading, analysis, job.destinations)
        at = self._clock()
        tickets = self._repository.finish(job.run.run_id, analysis.result, filed, at)
        if job.run.number == 1:
            last = max(instance.received_at for instance in job.study.instances)
            self._reported(job.pipeline, (at - last).total_seconds())
        log.info("run_reported", run_id=job.run.run_id, case_id=job.run.case_id, pipeline=job.pipeline,
                 verdict=analysis.result.verdict.value, documents=len(filed))
        return tickets

    def _words(self, pipeline: Pipeline, language: str) -> dict[str, str]:
        """What the gateway, the loaders and the pipeline (its optional attribute `words`) say in that language."""
        tables = (OWN_WORDS, self._parts.words, getattr(pipeline, "words", {}))
        return {english: told for table in tables for english, told in table.get(language, {}).items()}

    def _read(self, pipeline: Pipeline, job: Job, selection: Selection) -> Analysis:
        try:
            return read(pipeline, job.study, selection, self._parts.fulfilment, self._parts.inference)
        except Rejected as error:
            releases = tuple(self._parts.inference.release(model) for model in pipeline.models)
            provenance = Provenance(pipeline.name, pipeline.version, releases)
            return Analysis(undetermined(provenance, (Problem("unreadable", error.reason),)))

    def _postpone(self, job: Job, error: Transient) -> list[Next]:
        decision = next_reading(job.attempt + 1, self._settings.engine.attempts)
        if isinstance(decision, Dead):
            self._fail(job, f"{error}; {decision.reason}")
            return []
        ticket = self._repository.postpone(job.run.run_id, str(error))
        if ticket is None:
            return []
        log.warning("run_postponed", run_id=job.run.run_id, error=str(error), attempt=ticket.attempt,
                    again_in_seconds=decision.after.total_seconds())
        return [(ticket, decision.after)]

    def _fail(self, job: Job, reason: str) -> None:
        log.error("run_failed", run_id=job.run.run_id, case_id=job.run.case_id, error=reason)
        self._repository.fail(job.run.run_id, reason, self._clock())

    # ------------------------------------------------------------ deliveries

    def attempt(self, delivery_id: int, generation: int) -> list[Next]:
        """One attempt: delivered with proof, dead, or queued again; returns what is to be queued next."""
        job = self._repository.delivery(delivery_id)
        if job is None or job.state != DeliveryState.PENDING:
            return []
        if job.generation != generation:
            # Tried again since by another ticket: that one goes on, and is queued here where a crash kept it back.
            wait = (job.next_attempt_at or self._clock()) - self._clock()
            return [(DeliveryTicket(delivery_id, job.generation, job.destination), max(wait, timedelta()))]
        try:
            receipt = self._deliver(job.destination, job.document)
        except Transient as error:
            at = self._clock()
            decision = next_delivery(job.attempts + 1, job.retry_from, at, self._settings.delivery)
            if isinstance(decision, Dead):
                return self._settle(delivery_id, Receipt(DeliveryState.DEAD), f"{error}; {decision.reason}")
            return self._again(delivery_id, str(error), at, decision.after)
        except GatewayError as error:
            return self._settle(delivery_id, Receipt(DeliveryState.DEAD), str(error))
        except Exception as error:
            # One destination's fault must neither stop its queue nor be forgotten: shown, and tried again.
            log.exception("delivery_crashed", delivery_id=delivery_id, error=type(error).__name__)
            return self._again(delivery_id, f"the sender stopped with {type(error).__name__}", self._clock(),
                               timedelta(seconds=self._settings.delivery.longest_retry_seconds))
        if receipt.state is DeliveryState.PENDING:
            return self._wait_for_proof(delivery_id, receipt)
        return self._settle(delivery_id, receipt, "")

    def _deliver(self, name: str, document: Document) -> Receipt:
        destination = self._parts.destinations.get(name)
        if destination is None:
            raise Permanent(f"destination {name} is no longer configured")
        return destination.deliver(document)

    def _again(self, delivery_id: int, error: str, at: datetime, after: timedelta) -> list[Next]:
        ticket = self._repository.again(delivery_id, error, at + after)
        if ticket is None:
            return []
        log.warning("delivery_postponed", delivery_id=delivery_id, destination=ticket.destination, error=error,
                    again_in_seconds=after.total_seconds())
        return [(ticket, after)]

    def _wait_for_proof(self, delivery_id: int, receipt: Receipt) -> list[Next]:
        ticket = self._repository.again(delivery_id, str(receipt.facts.get("waits_for", "")),
                                        self._clock() + receipt.look_again)
        log.info("delivery_waits", delivery_id=delivery_id, seconds=receipt.look_again.total_seconds())
        return [] if ticket is None else [(ticket, receipt.look_again)]

    def _settle(self, delivery_id: int, receipt: Receipt, error: str) -> list[Next]:
        level = log.error if receipt.state is DeliveryState.DEAD else log.info
        level("delivery_settled", delivery_id=delivery_id, state=receipt.state.value, error=error)
        return _at_once(self._repository.settle(delivery_id, receipt, error, self._clock()))


def _at_once(tickets: Sequence[DeliveryTicket]) -> list[Next]:
    return [(ticket, timedelta()) for ticket in tickets]
