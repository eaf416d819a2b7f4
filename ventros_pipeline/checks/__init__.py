"""The proofs of `crm/checks.py` as blocking asset checks.

Checks are not partitioned and read the run's keys themselves: partitioned checks leave a row
PLANNED for ever for each partition of a range run. A check that raises blocks by itself, so nothing
is caught. All are one step, because Dagster's own work for a step costs several times the check's.
"""

from collections.abc import Callable, Iterable, Iterator

import dagster as dg

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT, Finding, Proof, prove
from ventros_pipeline.crm.limits import allowed_days
from ventros_pipeline.metadata import sample_table
from ventros_pipeline.partitions import Span, spans
from ventros_pipeline.proving import prove_times_kept
from ventros_pipeline.resources import Pipeline

Ask = Callable[[Pipeline, Channel, Span, str], Finding]


def message_checks(crm_messages: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return all proofs as checks of `crm_messages`; any of them can be run alone."""
    asks = {proof: _ask_once_a_channel(proof) for proof in PROOFS} | {TIMES_KEPT: _compare_times}

    @dg.multi_asset_check(
        name="crm_messages_proofs",
        specs=[
            dg.AssetCheckSpec(
                proof.name, asset=crm_messages, description=proof.promise, blocking=True
            )
            for proof in asks
        ],
        can_subset=True,
    )
    def proofs(
        context: dg.AssetCheckExecutionContext, pipeline: Pipeline
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.name for key in context.selected_asset_check_keys}
        where = [
            (pipeline.channel(span.channel), span)
            for span in spans(context.op_execution_context.partition_keys)
        ]
        # In the order of their names: a run's failure is told in the words of the first.
        for proof, ask in sorted(asks.items(), key=lambda pair: pair[0].name):
            if proof.name in wanted:
                findings = [ask(pipeline, *one, context.run.run_id) for one in where]
                _note(pipeline, context.run.run_id, proof, findings)
                yield _result(crm_messages.key, proof, findings)

    return [proofs]


def _ask_once_a_channel(proof: Proof) -> Ask:
    def ask(pipeline: Pipeline, channel: Channel, span: Span, run_id: str) -> Finding:
        return prove(pipeline.engine, channel, proof, run_id, span.days)

    return ask


def _compare_times(pipeline: Pipeline, channel: Channel, span: Span, _run_id: str) -> Finding:
    days = allowed_days(span.days, channel.max_days, pipeline.now().date())
    return prove_times_kept(pipeline.engine, pipeline.archive, channel, days)


def _note(pipeline: Pipeline, run_id: str, proof: Proof, findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.found:
            reason = f"check {proof.name}: {proof.told(finding)}"
            pipeline.note_failure(finding.channel, run_id, reason)


def _result(asset: dg.AssetKey, proof: Proof, findings: Iterable[Finding]) -> dg.AssetCheckResult:
    wrong = [finding for finding in findings if finding.found]
    found = sum(finding.found for finding in wrong)
    if not found:
        return dg.AssetCheckResult(
            passed=True,
            asset_key=asset,
            check_name=proof.name,
            description=proof.promise,
            metadata={"found": 0},
        )
    return dg.AssetCheckResult(
        passed=False,
        asset_key=asset,
        check_name=proof.name,
        description="\n".join(proof.told(finding) for finding in wrong),
        metadata={
            "found": found,
            "repair": "\n".join(proof.repair(finding) for finding in wrong),
            "sample": sample_table(
                [{"channel": f.channel, **row} for f in wrong for row in f.sample]
            ),
        },
    )
