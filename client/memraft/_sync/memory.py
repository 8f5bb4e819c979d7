# Generated from _async/memory.py by scripts/generate_sync.py: edit that one.

"""The memory itself: opened in process or on a cluster, seen from one namespace."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from memraft_proto.v1 import common_pb2

from .. import _wire
from .._embedded import open_engine
from .._target import Durability, Engine, read_durability, read_target
from ..embedders.base import AnyEmbedder
from ..errors import ConfigurationError
from ..types import Consistency
from .base import Link
from .batch import Batch
from .coordination import CoordinationCalls
from .embedding import Embedding
from .embeddings import EmbeddingCalls
from .follow import FollowCalls
from .forgetting import ForgettingCalls
from .forks import ForkCalls
from .graph import GraphCalls
from .history import HistoryCalls
from .index import IndexCalls
from .kv import KvCalls
from .leases import LeaseCalls
from .local import LocalLink
from .memories import MemoryCalls
from .projections import ProjectionCalls
from .query import QueryCalls
from .recalling import RecallCalls
from .receipts import ReceiptCalls
from .remote import RemoteLink
from .runs import RunCalls
from .settings import SettingsCalls
from .states import StateCalls
from .streams import StreamCalls
from .traces import TraceCalls
from .txn import TxnCalls
from .vectors import VectorCalls

LOCAL_NAMESPACE = "default"


class Memory(
    KvCalls,
    QueryCalls,
    SettingsCalls,
    StreamCalls,
    FollowCalls,
    StateCalls,
    LeaseCalls,
    CoordinationCalls,
    TxnCalls,
    VectorCalls,
    MemoryCalls,
    RecallCalls,
    EmbeddingCalls,
    ReceiptCalls,
    ForgettingCalls,
    RunCalls,
    ForkCalls,
    GraphCalls,
    IndexCalls,
    HistoryCalls,
    ProjectionCalls,
    TraceCalls,
):
    """A memory that agents share.

    `Memory()` runs in this process and needs no server, no key and no network.
    `Memory(path="dir")` does too and is durable: what is acknowledged is synced to that directory.
    `Memory("host:port,host:port", certs="dir")` talks to a cluster. The calls are the same in all
    three.

    It connects with its first call, and is best closed: `with Memory(...) as m:`. One memory
    serves any number of threads, or of tasks of one event loop. In a child of a fork every use
    of it raises ClosedError: open one in each process.

    Args:
        target: addresses of nodes of a cluster, `host:port`, separated by commas or in a sequence; one that
            answers is enough, it knows the others. None: in process.
        path: directory of the log of a durable memory in process, made when missing; one process at a time.
        durability: of a memory in a directory: `commit` has every write on the disk before it is
            acknowledged; `relaxed` acknowledges it up to 100 ms before, so a power cut may lose what was
            written last. That the process ends loses nothing either way.
        agent: who writes. On a cluster: the certificate's agent or one below it (`support/worker-3`);
            None: the certificate's. In process: any name; None: `local`.
        namespace: where calls read and write, such as `acme/support`; on a cluster its first segment is the
            certificate's tenant. None: `default`, in process only.
        certs: directory with `ca.pem`, `cert.pem` and `key.pem`, as `memraft certs issue` makes it.
        embedder: makes the embeddings of `remember` and `recall` from text: one of `memraft.embedders`, or
            any callable `str -> numbers`. Its attribute `fingerprint` names the model; without one a callable
            is known as `module.name:dimension`, which tells two models apart only by the names of their
            callables. All memories of a namespace have one model. None: a small table of word vectors that
            comes with the package.
        timeout_s: seconds that a call may take altogether, retries included; at most a week.
        consistency: of reads that say nothing else: `session`, `linearizable` or `stale`.
        projections: in process: classes that derive views from what is written, or `package.module:Class`;
            see docs/projections.md. On a cluster its nodes' configurations name them.
        insecure: talk to a cluster without TLS and without an identity; only for nodes that were started so.
        engine: what carries calls to a cluster: `lean`, or `grpcio`, which speaks the same protocol and takes
            more time; see docs/engines.md.

    Raises:
        InvalidArgument: `agent`, `namespace` or `consistency` is malformed.
        ConfigurationError: a file is missing, an address is malformed, arguments do not fit together.
        DataDirectoryError: the directory of `path` is locked, damaged or of another kind.
    """

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        *,
        path: str | Path | None = None,
        durability: Durability = "commit",
        agent: str | None = None,
        namespace: str | None = None,
        certs: str | Path | None = None,
        embedder: AnyEmbedder | None = None,
        timeout_s: float = 10.0,
        consistency: Consistency = "session",
        insecure: bool = False,
        projections: Sequence[str | type[Any]] = (),
        engine: Engine = "lean",
    ) -> None:
        embedding = Embedding(embedder)
        if namespace is not None:
            _wire.namespace(namespace)
        writer = _wire.build(common_pb2.WriteContext, agent="" if agent is None else agent)
        _wire.read_context(consistency, None)
        cluster = read_target(target, path, certs, insecure, timeout_s, engine)
        if cluster is not None and projections:
            raise ConfigurationError(
                "projections= is for a memory in process; on a cluster its nodes have them"
            )
        is_relaxed = read_durability(durability, path)
        if cluster is None:
            link: Link = LocalLink(open_engine(path, projections, is_relaxed))
        else:
            link = RemoteLink(cluster)
        place = namespace if namespace is not None else "" if cluster is not None else LOCAL_NAMESPACE
        super().__init__(link, place, writer, consistency, embedding)

    @property
    def namespace(self) -> str:
        """Where calls read and write."""
        return self._namespace

    @property
    def agent(self) -> str:
        """Who writes; empty: the certificate's agent, or `local` in process."""
        return self._writer.agent

    @property
    def embedder_fingerprint(self) -> str | None:
        """What names the embedder's model; None for a callable that has no name for it."""
        return self._embedder.fingerprint

    def scoped(
        self,
        namespace: str | None = None,
        *,
        agent: str | None = None,
        run: str | None = None,
        tool: str | None = None,
        consistency: Consistency | None = None,
    ) -> "Memory":
        """Returns a view of the same memory from elsewhere; it shares the connection, and closing one
        closes both.

        Args:
            namespace: where calls read and write; None: as here.
            agent: who writes; None: as here.
            run: the run that writes belong to; None: as here.
            tool: the tool through which the agent writes; None: as here.
            consistency: of reads that say nothing else; None: as here.
        """
        mine = self._writer
        writer = _wire.build(
            common_pb2.WriteContext,
            agent=mine.agent if agent is None else agent,
            run=mine.run if run is None else run,
            tool=mine.tool if tool is None else tool,
            fence_lease=mine.fence_lease,
            fence_token=mine.fence_token,
        )
        view = Memory.__new__(Memory)
        place = self._namespace if namespace is None else _wire.namespace(namespace)
        level = self._consistency if consistency is None else consistency
        super(Memory, view).__init__(self._link, place, writer, level, self._embedder)
        return view

    def batch(self, *, errors: Literal["raise", "return"] = "raise") -> Batch:
        """Returns a builder that sends many writes as one: `with m.batch() as b: b.put(...);
        b.append(...)`.

        Args:
            errors: what to do where operations were refused, once all outcomes are in `b.results`: `raise`
                BatchFailed, or `return` quietly. Either way the other operations were applied.
        """
        return Batch(self._link.write, self._where, self._embedding, self._embeddings, errors)

    def close(self) -> None:
        """Closes connections and files. Harmless when called twice; any later call raises ClosedError."""
        self._link.close()

    def __enter__(self) -> "Memory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self._namespace!r}, agent={self.agent!r})"
