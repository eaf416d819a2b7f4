"""The CRM against the replay server's own list of what existed, after whole imports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from ventros_pipeline.replay.stored import digest
from ventros_pipeline.replay.truth import Fact, Key
from ventros_pipeline_tests.engines.conftest import CASES, ENGINES, FAULTS, LIMITS
from ventros_pipeline_tests.engines.passes import Imported

IsImported = Callable[[str], bool]


def wanted(facts: Mapping[Key, Fact], is_imported: IsImported) -> set[Key]:
    """Return the messages to be in the CRM; a row that says `revoked` is none of its own."""
    return {key for key, fact in facts.items() if is_imported(key[0]) and fact.kind != "revoked"}


def test_the_cases_pair_every_engine_every_profile_and_every_limit() -> None:
    for one, other in (("engine", "faults"), ("engine", "limit"), ("faults", "limit")):
        values = {"engine": ENGINES, "faults": FAULTS, "limit": LIMITS}
        pairs = {(getattr(case, one), getattr(case, other)) for case in CASES}
        assert len(pairs) == len(values[one]) * len(values[other])


def test_the_account_changed_while_it_was_read(imported: Imported) -> None:
    assert imported.happened
    assert imported.first.truth.everything.keys() == imported.second.truth.everything.keys()


def test_a_session_that_is_not_ready_for_long_is_asked_again(imported: Imported) -> None:
    assert bool(imported.requeued) == (imported.case.faults == "hostile")


def test_what_existed_the_whole_time_is_in_the_crm(
    imported: Imported, is_imported: IsImported
) -> None:
    whole = wanted(imported.first.truth.always, is_imported)
    assert len(whole) > 1_000
    assert whole - imported.first.texts.keys() == set()


def test_nothing_is_in_the_crm_that_never_existed(
    imported: Imported, is_imported: IsImported
) -> None:
    for moment in (imported.first, imported.second):
        known = wanted(moment.truth.everything, is_imported)
        assert moment.texts.keys() - known == set()


def test_no_message_is_in_the_crm_twice(imported: Imported) -> None:
    for moment in (imported.first, imported.second):
        for names in (("address", "stanza_id"), ("channel_message_id",)):
            counts = Counter(tuple(row[name] for name in names) for row in moment.rows)
            assert {name: count for name, count in counts.items() if count > 1} == {}


def test_the_balance_closes_and_every_proof_holds(imported: Imported) -> None:
    for moment in (imported.first, imported.second):
        assert moment.report.closes
        assert {name: found for name, found in moment.findings.items() if found} == {}


def test_no_row_is_in_quarantine(imported: Imported) -> None:
    assert imported.second.report.balance["quarantined"] == 0


def test_a_second_pass_brings_in_what_appeared_meanwhile(
    imported: Imported, is_imported: IsImported
) -> None:
    truth = imported.second.truth
    assert wanted(truth.now, is_imported) - imported.second.texts.keys() == set()


def test_what_vanished_stays_when_it_was_read_before(
    imported: Imported, is_imported: IsImported
) -> None:
    texts, truth = imported.second.texts, imported.second.truth
    assert imported.first.texts.keys() - texts.keys() == set()
    gone = texts.keys() - wanted(truth.now, is_imported)
    assert gone - truth.vanished.keys() == set()


def test_a_text_is_what_the_server_shows_now_also_after_an_edit(
    imported: Imported, is_imported: IsImported, unstorable: set[str]
) -> None:
    assert len(unstorable) == 2
    texts = imported.second.texts
    shown = {
        key: fact.body_hash
        for key, fact in imported.second.truth.now.items()
        if fact.kind == "text" and is_imported(key[0]) and fact.stanza_id not in unstorable
    }
    assert {key: digest(texts[key] or "") for key in shown} == shown
