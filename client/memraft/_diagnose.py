"""Why a node could not be reached: one TLS handshake of the standard library tells what gRPC's message hides.

gRPC says "failed to connect" for an expired certificate as for a closed port. This is called only after
it has said so, and opens one connection.
"""

import base64
import re
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime

from memraft_proto.secured import Secured

from . import errors
from ._status import CONNECT_FAILED
from ._target import CERTIFICATE_FILE, Certificates, split_address

TIMEOUT_S = 1.0
RECEIVED_BYTES_MAX = 16_384

_ALERTS = (
    ("certificate_expired", "CERTIFICATE_EXPIRED", "client_certificate_expired", "has expired"),
    ("certificate_required", "CERTIFICATE_REQUIRED", "client_certificate_missing", "is missing"),
    ("unknown_ca", "UNKNOWN_CA", "client_certificate_refused", "is not signed by the cluster's authority"),
    ("bad_certificate", "BAD_CERTIFICATE", "client_certificate_refused", "was refused"),
    ("certificate_unknown", "CERTIFICATE_UNKNOWN", "client_certificate_refused", "was refused"),
    ("unsupported_certificate", "UNSUPPORTED_CERTIFICATE", "client_certificate_refused", "was refused"),
)
"""TLS alerts about our certificate: name, its form in OpenSSL's reasons, kind of error, what to say."""

_EXPIRED, _NOT_YET_VALID = 10, 9
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_NAME_MISMATCH = frozenset({62, 64})
"""X509_V_ERR_* of OpenSSL."""


def diagnose(
    address: str, certificates: Certificates | None, error: errors.MemraftError
) -> errors.MemraftError:
    """Returns a clearer exception than `error` where a handshake finds the reason, else `error`.

    Args:
        address: host:port that could not be reached.
        certificates: those that were used; None: plain text.
        error: what gRPC said.
    """
    host, port = split_address(address)
    try:
        if certificates is None:
            return _plain(_connect(host, port), address, error)
        found = _handshake(_connect(host, port), host, address, certificates, error)
        if found is not None:
            return found
        # A node that is going down hangs up as well, but not twice.
        return _handshake(_connect(host, port), host, address, certificates, error) or _refused(
            address, certificates
        )
    except ConnectionRefusedError:
        return errors.ConnectionFailed(f"{address}: connection refused", reason=CONNECT_FAILED)
    except socket.gaierror as failure:
        return errors.ConnectionFailed(
            f"{address}: the name is not known: {failure.strerror}", reason=CONNECT_FAILED
        )
    except TimeoutError:
        return errors.ConnectionFailed(f"{address}: no answer in {TIMEOUT_S:g} s", reason=CONNECT_FAILED)
    except OSError as failure:
        return errors.ConnectionFailed(f"{address}: {failure}", reason=CONNECT_FAILED)


def _connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), timeout=TIMEOUT_S)


def _handshake(
    connection: socket.socket,
    host: str,
    address: str,
    certificates: Certificates,
    error: errors.MemraftError,
) -> errors.MemraftError | None:
    """What one handshake finds; None: the node hung up once it had seen our certificate."""
    with connection:
        try:
            context = certificates.context()
        except (ssl.SSLError, OSError) as failure:
            return errors.TlsError(
                f"the certificates in {certificates.directory} do not load: {failure}",
                "client_certificate_refused",
            )
        try:
            return error if _speaks(connection, _secured(connection, context, host)) else None
        except ssl.SSLCertVerificationError as failure:
            return _server_certificate(address, failure)
        except ssl.SSLError as failure:
            return _alert(address, certificates, failure) or error
        except ConnectionError:
            # Before the handshake was over: a forwarder whose node is down, or a node that is going down.
            return error


def _secured(connection: socket.socket, context: ssl.SSLContext, host: str | None) -> Secured:
    """TLS over a connection that its owner closes, once the handshake is over.

    `SSLContext.wrap_socket` takes the connection away from its owner, and leaves it open where the server has
    reset it by then.
    """
    secured = Secured(context, host)
    try:
        secured.shake_hands()
        while not secured.is_ready:
            connection.sendall(secured.take())
            if data := connection.recv(RECEIVED_BYTES_MAX):
                secured.shake_hands(data)
            else:
                secured.end()
    except ssl.SSLError:
        with suppress(OSError):  # what it tells the server is no longer what matters
            connection.sendall(secured.take())
        raise
    connection.sendall(secured.take())
    return secured


def _speaks(connection: socket.socket, secured: Secured) -> bool:
    """Whether the server accepts our certificate: in TLS 1.3 it judges that when its own part of the
    handshake is over, and then speaks first."""
    try:
        said = secured.open(b"")
        while not said and (data := connection.recv(RECEIVED_BYTES_MAX)):
            said = secured.open(data)
        return bool(said)
    except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return False


def _refused(address: str, certificates: Certificates) -> errors.TlsError:
    file = certificates.directory / CERTIFICATE_FILE
    return _own_expiry(certificates) or errors.TlsError(
        f"{address}: the node hangs up on the client certificate {file}: another authority signed it, or "
        "this is no port for clients, such as a peer port, which takes other nodes only",
        "client_certificate_refused",
    )


def _server_certificate(address: str, failure: ssl.SSLCertVerificationError) -> errors.TlsError:
    code, said = failure.verify_code, failure.verify_message
    if code == _EXPIRED:
        return errors.TlsError(f"{address}: the node's certificate has expired", "server_certificate_expired")
    if code == _NOT_YET_VALID:
        return errors.TlsError(
            f"{address}: the node's certificate is not valid yet: {said}", "server_certificate_expired"
        )
    if code in _UNKNOWN_AUTHORITY:
        return errors.TlsError(
            f"{address}: the node's certificate is not signed by the authority in ca.pem: {said}",
            "unknown_authority",
        )
    if code in _NAME_MISMATCH:
        return errors.TlsError(
            f"{address}: the node's certificate is for other names: {said}", "name_mismatch"
        )
    return errors.TlsError(f"{address}: the node's certificate does not hold: {said}", "unknown_authority")


def _alert(address: str, certificates: Certificates, failure: ssl.SSLError) -> errors.TlsError | None:
    reason = (failure.reason or "").upper()
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason or "HTTP_REQUEST" in reason:
        return errors.TlsError(
            f"{address}: the port does not speak TLS: it is a plain-text port, or not a node's",
            "plaintext_port",
        )
    file = certificates.directory / CERTIFICATE_FILE
    for _, form, kind, said in _ALERTS:
        if form in reason:
            return _own_expiry(certificates) or errors.TlsError(
                f"{address}: the node refuses the client certificate {file}: it {said}", kind
            )
    return None


def _own_expiry(certificates: Certificates) -> errors.TlsError | None:
    validity = validity_of(certificates.certificate)
    if validity is None:
        return None
    begins, ends = validity
    file = certificates.directory / CERTIFICATE_FILE
    now = datetime.now(UTC)
    if now > ends:
        return errors.TlsError(
            f"the client certificate {file} expired on {ends:%Y-%m-%d %H:%M:%S} UTC; issue a new one",
            "client_certificate_expired",
        )
    if now < begins:
        return errors.TlsError(
            f"the client certificate {file} is not valid before {begins:%Y-%m-%d %H:%M:%S} UTC",
            "client_certificate_expired",
        )
    return None


def _plain(connection: socket.socket, address: str, error: errors.MemraftError) -> errors.MemraftError:
    """Plain text was tried: does the port speak TLS?"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with connection:
            _secured(connection, context, None)
    except OSError:
        return error
    return errors.TlsError(
        f"{address}: the port speaks TLS: give certs= instead of insecure=True", "tls_port"
    )


_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_TIMES = re.compile(
    rb"\x30[\x1e\x20\x22](?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
)
"""DER of a Validity (RFC 5280, 4.1.2.5): a SEQUENCE of two times, each a UTCTime or a GeneralizedTime."""


def validity_of(certificate: bytes) -> tuple[datetime, datetime] | None:
    """Returns from when to when a PEM file's first certificate is valid; None where that is not found."""
    pem = _PEM.search(certificate)
    if pem is None:
        return None
    try:
        found = _TIMES.search(base64.b64decode(pem[1]))
    except ValueError:
        return None
    if found is None:
        return None
    return _time(found[1], found[2]), _time(found[3], found[4])


def _time(utc: bytes | None, general: bytes | None) -> datetime:
    text = (utc or general or b"").decode()
    if utc is not None:
        # Two digits of a year: 50 to 99 are of the twentieth century.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
