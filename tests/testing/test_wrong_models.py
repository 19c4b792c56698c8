"""The kit catches models that break a promise, each by the test that says so."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from hivetrace_globex.model import GlobexModel

from hivetrace_core.testing import DialectConformance, ModelConformance

HERE = Path(__file__).parent
GLOBEX_TESTS = HERE.parents[1] / "examples" / "hivetrace-globex" / "tests" / "test_conformance.py"

PREAMBLE = """
from hivetrace_core.testing import DialectConformance, ModelConformance
from hivetrace_globex.dialect import GlobexDialect
import wrong_models

class Conformance(ModelConformance, DialectConformance):
    dialect = GlobexDialect()

    def params(self, base_url):
        return {"model": "globex-large", "base_url": base_url, "api_key": self.secret}
"""

ONE_CLASS = """
class Test{name}(Conformance):
    model_class = wrong_models.{name}
"""

IMPATIENT = """
import hypothesis
from hivetrace_core.testing import bench, strategies

# To shrink what is known to be wrong, and to wait for what will not happen, takes long.
strategies.PHASES = (hypothesis.Phase.generate,)
bench.PATIENCE_S = 0.5
"""

CAUGHT = {
    # requests
    "RetriesOnItsOwn": "test_attempts_are_exactly_the_requests_that_the_provider_counts",
    "ReconnectsOnItsOwn": "test_one_attempt_is_one_request_whatever_goes_wrong",
    "RetriesBlocks": "test_a_block_says_where_it_happened_and_by_which_rule",
    "RetriesDeadKeys": "test_a_dead_key_is_tried_once_and_then_nothing_more_is_sent",
    "IgnoresWaits": "test_a_retry_comes_no_earlier_than_the_provider_asks",
    "KnowsSecondsOnly": "test_a_wait_that_the_provider_asks_for_is_understood",
    "FollowsRedirects": "test_redirects_are_not_followed",
    # batches
    "SwapsAnswers": "test_batch_calls_keep_the_order_of_the_prompts",
    "YieldsAsCompleted": "test_batch_calls_keep_the_order_of_the_prompts",
    "YieldsTwice": "test_unordered_streams_give_each_response_once_and_the_quick_ones_first",
    "ForgetsTheIndex": "test_every_prompt_gets_one_response_that_says_which_it_is",
    "StopsAtTheFirstError": "test_a_failed_prompt_keeps_its_place_and_the_others_go_on",
    "IgnoresTheCap": "test_no_more_requests_are_in_flight_than_the_cap_allows",
    "OneAfterTheOther": "test_the_window_of_a_call_is_used_and_not_exceeded",
    "ReadsAllPrompts": "test_prompts_are_read_as_they_are_needed",
    # outcomes
    "CountsErrorsAsBlocks": "test_every_outcome_and_kind_of_error_arrives_as_what_it_is",
    "CountsBlocksAsErrors": "test_the_two_stages_of_a_block_are_both_blocks",
    "CountsBlocksAsRefusals": "test_every_variant_of_the_dialect_is_classified_as_its_table_says",
    "NamesNoRule": "test_a_block_says_where_it_happened_and_by_which_rule",
    "TakesUnknownForStop": "test_the_finish_reason_is_neutral_and_the_providers_own_word_is_kept",
    "ForgetsTheProvidersWord": "test_the_finish_reason_is_neutral_and_the_providers_own_word_is_kept",
    "TakesErrorsForAnswers": "test_classify_bears_replies_that_are_nearly_right",
    "TakesAnythingForAnAnswer": "test_every_fault_of_the_wire_is_a_failure_of_a_sensible_kind",
    "CrashesOnOddReplies": "test_classify_makes_a_response_or_an_error_of_any_reply",
    "CrashesOnOddCalls": "test_classify_bears_replies_that_are_nearly_right",
    "MutatesPayload": "test_classify_bears_replies_that_are_nearly_right",
    "ClassifiesByMood": "test_classify_makes_a_response_or_an_error_of_any_reply",
    "DropsRawPayload": "test_the_reply_is_kept_as_it_came",
    "TidiesRawPayload": "test_the_reply_is_kept_as_it_came",
    "BlockedRaises": "test_is_answer_blocked_takes_anything_and_never_raises",
    "BlockedCountsRefusals": "test_is_answer_blocked_is_true_for_the_outcome_blocked_only",
    "BlockedCountsEmptyAnswers": "test_only_blocked_answers_count_as_blocked",
    "ReturnsFailures": "test_classify_makes_a_response_or_an_error_of_any_reply",
    # dialects
    "CallsBrokenConnectionsTimeouts": "test_each_fault_ends_as_foretold",
    "LosesBlocksInBatches": "test_a_batch_ends_as_foretold_in_whatever_order_it_is_sent",
    "HidesErrorsOfBlockingCalls": "test_blocking_calls_end_like_awaited_ones",
    "SendsAKeyOfItsOwn": "test_the_servers_key_is_asked_for",
    # secrets
    "LeaksKeyInErrors": "test_no_error_has_a_secret_even_if_the_provider_repeats_it",
    "LeaksKeyInParams": "test_params_are_plain_json_without_secrets",
    "LeaksKeyInRepr": "test_a_model_shows_no_secret_of_its_own",
    "LeaksKeyInLogs": "test_no_log_has_a_secret",
    "LeaksKeyInOptionErrors": "test_a_wrong_option_is_reported_without_secrets",
    "LeaksKeyInFiles": "test_no_file_of_a_run_has_a_secret",
    # lifetimes
    "NeverCloses": "test_closing_a_model_closes_its_connections",
    "LeavesTasks": "test_cancelling_a_call_cancels_its_request",
    "SwallowsCancellation": "test_cancelling_a_call_cancels_its_request",
    "BlocksTheLoop": "test_the_event_loop_is_free_while_a_request_is_pending",
    "BoundToFirstLoop": "test_one_instance_works_in_one_event_loop_after_another",
    "SingleUse": "test_a_closed_model_can_be_closed_again_and_used_again",
    "BoundToItsProcess": "test_a_forked_child_can_use_the_model_of_its_parent",
    "OneThreadOnly": "test_one_instance_works_in_several_loops_and_threads_at_once",
    "NoNotebooks": "test_blocking_calls_work_inside_a_running_loop",
    # prompts and options
    "TrimsPrompts": "test_what_is_asked_is_what_is_sent",
    "ForcesTemperature": "test_nothing_is_forced_on_the_tested_model",
    "AddsASystemPrompt": "test_nothing_is_forced_on_the_tested_model",
    "DropsTheSystem": "test_a_system_message_and_earlier_turns_are_sent",
    "DropsImages": "test_an_image_is_accepted_or_refused_for_its_prompt_only",
    "TakesAnyOption": "test_an_unknown_option_is_an_error_with_a_suggestion",
    # streams
    "LosesPartialText": "test_a_stream_that_breaks_off_keeps_the_text_so_far",
    "TakesHalfForWhole": "test_a_stream_that_breaks_off_keeps_the_text_so_far",
    "FakesStreams": "test_answers_are_streamed_and_not_only_cut_up",
    "RepeatsPieces": "test_the_pieces_of_a_stream_make_up_the_answer",
    "StreamsBlocksAsErrors": "test_every_variant_is_classified_the_same_in_a_stream",
    "StreamsOn": "test_leaving_a_stream_early_leaves_nothing_behind",
}


def test_every_wrong_model_is_caught_by_the_test_of_the_promise_that_it_breaks(tmp_path: Path) -> None:
    # One test and one process for all of them: to start a process for each takes longer than to try them.
    (tmp_path / "conftest.py").write_text(IMPATIENT)

    results = run_kit(tmp_path, {name: [test] for name, test in CAUGHT.items()})

    missed = {name: (test, results[name]) for name, test in CAUGHT.items() if "failure" not in results[name].values()}
    assert missed == {}


def test_the_model_that_they_are_made_from_is_held_against_all_these_tests_in_its_own_suite() -> None:
    """So that what catches a wrong model is what is wrong with it."""
    spec = importlib.util.spec_from_file_location("globex_conformance", GLOBEX_TESTS)
    assert spec is not None
    assert spec.loader is not None
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    # What the kit has put into the class itself is excused, or does not apply.
    held = {name for name in CAUGHT.values() if name not in vars(own.TestGlobexModel)}

    assert held == set(CAUGHT.values())
    assert {ModelConformance, DialectConformance} <= set(own.TestGlobexModel.__mro__)
    assert own.TestGlobexModel.model_class is GlobexModel


def run_kit(folder: Path, tests: Mapping[str, list[str]], *options: str) -> dict[str, dict[str, str]]:
    """How tests of the kit end for models of `wrong_models`, all in one process of their own.

    Args:
        folder: Where to put the tests.
        tests: Names of tests by the name of the model.
        options: For pytest.
    """
    (folder / "test_it.py").write_text(PREAMBLE + "".join(ONE_CLASS.format(name=name) for name in tests))
    nodes = [f"test_it.py::Test{name}::{test}" for name, some in tests.items() for test in some]
    quiet = ("-q", "--tb=short", "-p", "no:cacheprovider", "--junitxml=results.xml", "-o", "addopts=")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *options, *nodes],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, dict[str, str]] = {name: {} for name in tests}
    for case in ET.parse(folder / "results.xml").iter("testcase"):
        name = case.attrib["classname"].rpartition(".Test")[2]
        # What a test leaves behind may add an error, after its own failure, as a second entry.
        ended = case[0].tag if len(case) else "passed"
        if found[name].get(case.attrib["name"]) != "failure":
            found[name][case.attrib["name"]] = ended
    return found
