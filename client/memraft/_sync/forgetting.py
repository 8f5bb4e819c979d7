# Generated from _async/forgetting.py by scripts/generate_sync.py: edit that one.

"""What was forgotten and why, and memories that say nearly the same."""

from reprlib import repr as shown

from memraft_proto.v1 import batch_pb2, forgetting_pb2, memory_pb2

from .. import _forgetting, _wire
from ..errors import InvalidArgument
from ..types import At, Consistency, Consolidation, ForgetReason, Forgotten, Results
from .base import METHOD, Calls

_LIST, _FIND, _MERGE = METHOD["ListForgotten"], METHOD["FindDuplicates"], METHOD["MergeMemories"]
_MEMORIES, _BATCH = METHOD["ListMemories"], METHOD["Batch"]


class ForgettingCalls(Calls):
    """What was forgotten and why, and memories that say nearly the same."""

    def forgotten(
        self,
        id: str = "",
        *,
        reason: ForgetReason = "",
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Forgotten]:
        """Lists memories that were forgotten, the last first, and why.

        It reaches back as far as the namespace's retention does.

        Args:
            id: only the memory with this id; empty: all.
            reason: only those that were forgotten for this reason; empty: for any.
            limit: at most this many a page, 1 to 10,000. A page may have fewer and yet not be the last.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        where = self._from(at, consistency)
        request = _forgetting.list_forgotten(where, id, reason, limit, cursor)
        return _forgetting.forgotten(self._link.read(_LIST, request))

    def forget_where(
        self, *, about: str = "", kind: str = "", speaker: str = "", thread: str = "", reason: str = ""
    ) -> int:
        """Forgets all memories of which what is given holds, pinned ones too; returns how many those were.

        They go a page at a time, each page with one command: it may be ended at any time, and begun again.
        What is remembered meanwhile stays.

        Args:
            about: about this entity.
            kind: of this kind.
            speaker: said by this one.
            thread: of this conversation.
            reason: why, for those who ask later: up to 1,024 bytes.

        Raises:
            InvalidArgument: nothing is given.
        """
        wanted = _forgetting.Wanted(about, kind, speaker, thread)
        cursor, count = "", 0
        while True:
            request = wanted.page({**self._from(None, None), "cursor": cursor})
            page: memory_pb2.ListMemoriesResponse = self._link.read(_MEMORIES, request)
            if batch := wanted.forget(self._where, page, reason):
                response: batch_pb2.BatchResponse = self._link.write(_BATCH, batch)
                count += sum(each.forget.found for each in response.results)
            cursor = page.next_cursor
            if not cursor:
                return count

    def consolidate(
        self,
        *,
        threshold: float = 0.9,
        paraphrases: bool = False,
        about: str = "",
        kind: str = "",
        dry_run: bool = False,
    ) -> Consolidation:
        """Merges memories that say nearly the same, the older ones into the newest.

        That is those whose embeddings are near, with the same entity, kind, speaker and time in which they
        are true, and of which neither has a number or a negation that the other has not; all words of one are
        in the other, in their order. The one that is kept has its text and embedding, the highest salience of
        them, and the ids of the others in its metadata, under `merged_from`; one that is pinned, or that says
        more, is kept though it is older. The others are forgotten, as `forgotten` tells; they stay readable
        with an earlier `at=`.

        It looks at all memories, one search each, a page at a time; others read and write meanwhile, and what
        they change is left alone. It may be ended at any time: each group is merged as a whole.

        Args:
            threshold: how near two embeddings must be: their least cosine, above 0 and up to 1.
            paraphrases: also those of which each has words that the other has not. Most embedders find two
                that name different towns or days nearly equal: take a high threshold then, and look at what
                `dry_run=True` finds first.
            about: only memories about this entity; empty: all.
            kind: only memories of this kind; empty: all.
            dry_run: find them and change nothing.
        """
        if not isinstance(dry_run, bool):  # Taken for what it is not, it would merge what was to be shown.
            raise InvalidArgument(f"dry_run must be a bool, not {shown(dry_run)}")
        merging = _forgetting.Merging(self._where)
        cursor = ""
        while True:
            request = _wire.build(
                forgetting_pb2.FindDuplicatesRequest,
                **self._from(None, None),
                threshold=threshold,
                paraphrases=paraphrases,
                about=about,
                kind=kind,
                cursor=cursor,
            )
            page: forgetting_pb2.FindDuplicatesResponse = self._link.read(_FIND, request)
            for merge, merged in merging.requests(page):
                response: forgetting_pb2.MergeMemoriesResponse | None = None
                if not dry_run:
                    response = self._link.write(_MERGE, merging.current(merge))
                merging.done(merged, response)
            cursor = page.next_cursor
            if not cursor:
                return merging.result
