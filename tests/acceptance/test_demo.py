"""`memraft demo` in its short form: the main job, on real nodes, with a real SIGKILL."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "memraft_server.cli"]
PATIENCE_S = 120.0
CONVERSATIONS = Path(__file__).parents[1] / "data" / "conversations.json"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_three_agents_share_one_memory_that_survives_its_leader() -> None:
    done = run("demo", "--quick", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    outcome = result["outcome"]
    assert result["good"] is True

    audit = outcome["audit"]
    assert audit["acknowledged"] == audit["found"]
    assert set(audit["found"]) == {"document", "event", "record", "memory"}
    assert audit["missing"] == []
    assert audit["written_twice"] == 0

    assert outcome["resolved"] == outcome["tickets"] == 8
    assert outcome["without_order_number"] == 6
    assert outcome["asked_again"] == 0
    assert outcome["chains"]["streams"] == 8
    assert outcome["chains"]["broken"] == []
    assert outcome["replicas_agree"] is True
    assert outcome["recall"]["before"] != outcome["recall"]["now"]
    assert outcome["recall"]["now"].endswith("paid out and closed")
    assert outcome["kill"]["new_leader"] != outcome["kill"]["node"]


def test_a_run_with_a_wrong_answer_is_explained_corrected_and_replayed() -> None:
    done = run("demo", "time-machine", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    outcome = result["outcome"]
    assert result["good"] is True and outcome["replicas_agree"] is True
    assert outcome["kill"]["new_leader"] != outcome["kill"]["node"]

    seen, before = outcome["seen"], outcome["before"]
    assert (
        "14 days" in seen["text"]
        and "30 days" in before["text"]
        and outcome["recalled_as_of"] == seen["text"]
    )
    assert (seen["agent"], before["agent"]) == ("web-import", "knowledge")
    assert before["log_index"] < seen["log_index"]
    assert outcome["first_difference"]["step"] == 1
    assert "14 days" in outcome["first_difference"]["left"]
    assert "30 days" in outcome["first_difference"]["right"]
    left_behind = {(each["kind"], each["name"]) for each in outcome["left_behind"]}
    assert left_behind == {("document", "order:1458"), ("stream", "decisions")}
    changed = {(each["kind"], each["name"]) for each in outcome["changed"]}
    assert changed == {("document", "order:1458"), ("memory", outcome["memory"])}
    for replayed, answer in ((outcome["wrong"], "refused"), (outcome["right"], "refunded")):
        assert replayed["answer"] == answer
        for replay in (replayed["commands"], replayed["agent"]):
            assert (replay["verdict"], replay["steps"]) == ("same", replay["recorded_steps"])
        assert replayed["commands"]["recorded_hash"] == replayed["commands"]["replayed_hash"]
    assert sorted(outcome["conflicts"]) == ["document order:1458", f"memory {outcome['memory']}"]
    assert outcome["answer_now"] == "refunded"


def test_an_answer_is_explained_when_the_state_has_moved_on() -> None:
    done = run("demo", "why", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    outcome = result["outcome"]
    assert result["good"] is True and outcome["replicas_agree"] is True
    assert outcome["kill"]["new_leader"] != outcome["kill"]["node"]
    assert "vegetarian" in outcome["answer"] and "without nuts" in outcome["answer"]

    receipt, answered = outcome["receipt"], outcome["answered"]["hits"]
    assert (receipt["agent"], receipt["run"], receipt["turn"]) == ("planner", "order-meals", "turn-13")
    assert receipt["query"] == outcome["question"]
    assert [(hit["id"], hit["version"]) for hit in receipt["hits"]] == [
        (hit["id"], hit["version"]) for hit in answered
    ]
    for hit, explained in zip(answered, receipt["hits"], strict=True):
        shares = {reason["name"]: reason["share"] for reason in explained["reasons"]}
        assert {"text", "vector"} & shares.keys()
        assert abs(sum(shares.values()) - hit["score"]) < 1e-4
    then, today = outcome["then"]["hits"], outcome["today"]["hits"]
    assert [hit["id"] for hit in then] == [hit["id"] for hit in answered]
    assert any("not allergic any more" in hit["text"] for hit in today)
    assert not any("any more" in hit["text"] for hit in then)
    for memory in outcome["behind"]:
        assert (memory["agent"], memory["run"]) == ("front-desk", "call-in-march")
        assert memory["around"]
    assert [memory["is_current"] for memory in outcome["behind"]] == [False, True]


TALK = {
    "sample_id": "harbour talk",
    "conversation": {
        "session_1_date_time": "8:00 am on 1 May, 2024",
        "session_1": [
            {"speaker": "Skipper", "dia_id": "D1:1", "text": "The old lighthouse was painted red last week."},
            {"speaker": "Mate", "dia_id": "D1:2", "text": "I bought new ropes for the mainsail."},
            {"speaker": "Skipper", "dia_id": "D1:3", "text": "Fog is expected on Thursday."},
        ],
        "session_2_date_time": "8:00 am on 2 May, 2024",
        "session_2": [
            {"speaker": "Mate", "dia_id": "D2:1", "text": "The ferry to the island leaves at noon."},
        ],
    },
    "qa": [
        {"question": "Which colour is the lighthouse?", "answer": "red", "evidence": ["D1:1"], "category": 4},
        {
            "question": "What was bought for the mainsail?",
            "answer": "ropes",
            "evidence": ["D1:2"],
            "category": 4,
        },
        {
            "question": "When does the ferry leave?",
            "answer": "noon",
            "evidence": ["D2:1; D9:9"],
            "category": 2,
        },
        {"question": "Who saw a whale?", "adversarial_answer": "-", "evidence": ["D1:3"], "category": 5},
    ],
}


def test_conversations_are_written_through_the_cluster_and_questions_answered(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([TALK]))
    done = run("demo", "--input", str(file), "--nodes", "1", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["conversations"], outcome["turns"], outcome["questions"]) == (1, 4, 4)
    assert outcome["writes"]["count"] == 4
    found = outcome["evaluation"]
    assert found["overall"]["questions"] == 3
    # Five turns are asked for and there are four: everything that can be found is found.
    assert found["overall"]["recall"]["memraft recall"] == [1.0, 1.0, 1.0]
    assert found["overall"]["recall"]["plain BM25"] == [1.0, 1.0, 1.0]
    assert found["adversarial"]["questions"] == 1
    assert found["evidence_malformed"] == 1


def test_three_nodes_find_as_much_as_one_process() -> None:
    reports = []
    for where in ([], ["--cluster"]):
        done = run("bench", "recall", "--input", str(CONVERSATIONS), "--json", *where)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    assert [report["where"] for report in reports] == ["in process", "3 nodes over gRPC"]
    assert reports[0]["results"] == reports[1]["results"]


def test_the_benchmarks_run_and_name_their_targets() -> None:
    done = run("bench", "vector", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    vector = json.loads(done.stdout)
    assert vector["quick"] is True
    shares = [each["value"]["median"] for each in vector["figures"] if each["unit"] == "share"]
    assert all(share > 0.9 for share in shares)

    done = run("bench", "kv", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    kv = json.loads(done.stdout)
    assert kv["machine"]["cores"] >= 1
    targets = {each["name"]: each["target"] for each in kv["figures"] if each["target"]}
    assert targets["embedded get, p50"] == {"sense": "at most", "value": 3.0}
    assert "3 nodes, put, 1 caller, p50" in targets

    done = run("bench", "recall", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    recall = {each["name"]: each["value"]["median"] for each in json.loads(done.stdout)["figures"]}
    assert "300 memories, 3 nodes, full pipeline, p50" in recall
    assert all(value > 0 for value in recall.values())

    done = run("bench", "fork", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    fork = json.loads(done.stdout)
    forks = [each for each in fork["figures"] if each["name"].startswith("fork ")]
    assert len(forks) == 4 and all(each["target"]["value"] == 1_000 for each in forks)
    assert all(each["value"]["median"] > 0 for each in fork["figures"])
    assert all(each["value"]["median"] > 0 for each in kv["figures"])

    done = run("bench", "stream", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert {"sense": "at least", "value": 469_000} in [each["target"] for each in figures]
    assert all(each["value"]["median"] > 0 for each in figures)
