"""Build a small web app as an image and push it, with the standard library, without an engine.

The image has two layers: Debian's static busybox, the same for each app and so uploaded once, and a
small one with the page. The same arguments give the same digest. Formats: Docker image manifest
version 2 schema 2 and OCI image index 1.1; uploads follow the OCI distribution specification 1.1.
"""

import base64
import gzip
import hashlib
import io
import json
import platform
import struct
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

SERVE = "echo \"listening on port $PORT\"; trap 'exit 0' TERM; httpd -f -p $PORT -h /www & wait"
"""The shell line of the default app.

As process 1 the shell must trap TERM itself: the kernel's default is to ignore it.
"""

DEFAULT_CMD = ("/bin/sh", "-c", SERVE)
EXITS_AT_ONCE = (
    "/bin/sh",
    "-c",
    "echo 'reading the configuration'; echo 'no configuration found' >&2; exit 3",
)
NEVER_LISTENS = (
    "/bin/sh",
    "-c",
    "echo 'waiting for nothing'; trap 'exit 0' TERM; sleep 86400 & wait",
)
FAILS_HEALTH = (
    "/bin/sh",
    "-c",
    "echo \"failing on port $PORT\"; trap 'exit 0' TERM; nc -ll -p $PORT -e /www/fail & wait",
)

_APPLETS = (
    *(
        "sh",
        "base64",
        "cat",
        "cut",
        "date",
        "echo",
        "env",
        "head",
        "httpd",
        "nc",
        "printf",
        "seq",
        "sha1sum",
        "sleep",
        "tail",
    ),
    *("tr", "wc", "wget", "xxd", "yes"),
)
_FAIL = """#!/bin/sh
while read -r line && [ "${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.1 500 Internal Server Error\\r\\nContent-Length: 7\\r\\n'\\
'Connection: close\\r\\n\\r\\nbroken\\n'
"""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PT_INTERP = 3
_TIMEOUT_S = 30


class PushError(Exception):
    """The registry did not take the image.

    The text says what it answered; `status` is the HTTP status, None without one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleApp:
    """The contents of the image. `body` is the text of the page `/`; `/health` answers `ok`.

    `healthcheck` is the command line of a HEALTHCHECK that runs every `interval_s` seconds, with
    `start_period_s`, None for none; `created` the image's date; `architecture` what it says it is
    built for, empty for this machine's own; `programs` are more files that can be run, text by path
    (`www/cgi-bin/slow`): below `www/cgi-bin`, httpd runs them itself. `volumes` are the paths of
    VOLUMEs.
    """

    body: str = "hello"
    port: int = 8080
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cmd: Sequence[str] = DEFAULT_CMD
    healthcheck: str | None = None
    interval_s: int = 1
    start_period_s: int = 0
    architecture: str = ""
    created: datetime | None = None
    extra_ports: Sequence[str] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    volumes: Sequence[str] = ()
    entrypoint: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """An image to push: its manifest, and the blobs (by digest) that the manifest names."""

    manifest: bytes
    blobs: Mapping[str, bytes]
    media_type: str = MANIFEST

    @property
    def digest(self) -> str:
        """`sha256:` and the hash of the manifest's bytes."""
        return _digest(self.manifest)


def listens_late(seconds: int) -> tuple[str, ...]:
    """The command of an app that runs `seconds` before it listens."""
    return (
        "/bin/sh",
        "-c",
        f"echo 'warming up'; trap 'exit 0' TERM; sleep {seconds} & wait; {SERVE}",
    )


def build_image(app: SampleApp, busybox: Path = Path("/bin/busybox")) -> Image:
    """Build the image of `app`.

    Raises FileNotFoundError or ValueError when `busybox` is missing or not a static program.
    """
    layers = (_busybox_layer(busybox), _app_layer(app.body, app.programs))
    packed = [_gzip(layer) for layer in layers]
    config = _json(_config(app, [_digest(layer) for layer in layers]))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, config),
        "layers": [_descriptor(LAYER, blob) for blob in packed],
    }
    return Image(_json(manifest), {_digest(blob): blob for blob in (*packed, config)})


def build_index(images: Mapping[str, Image]) -> Image:
    """Build an OCI index of `images`, keyed by platform (`linux/amd64`).

    Push the images themselves first.
    """
    manifests = []
    for name, image in images.items():
        system, architecture = name.split("/")
        entry = _descriptor(image.media_type, image.manifest)
        manifests.append(entry | {"platform": {"os": system, "architecture": architecture}})
    return Image(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}), {}, INDEX)


def push(
    registry_host: str,
    repository: str,
    reference: str,
    image: Image,
    auth: tuple[str, str] | None = None,
) -> str:
    """Push `image` as `repository`:`reference` (a tag or its digest) and return its digest.

    Raises PushError. `registry_host` is `HOST:PORT`, spoken to in plain HTTP, or a whole URL;
    `auth` a user and password for HTTP Basic.
    """
    base = registry_host if "://" in registry_host else f"http://{registry_host}"
    uploader = _Uploader(f"{base.rstrip('/')}/v2/{repository}", auth)
    for digest, blob in image.blobs.items():
        uploader.blob(digest, blob)
    uploader.call("PUT", f"/manifests/{reference}", image.manifest, image.media_type)
    return image.digest


def own_architecture() -> str:
    """This machine's architecture in Docker's words, `amd64` or `arm64`.

    Raises ValueError for any other.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise ValueError(
            f"no sample image can be built for {machine}: only for {', '.join(_ARCHITECTURES)}"
        )
    return _ARCHITECTURES[machine]


class _Uploader:
    """Speaks to one repository of a registry."""

    def __init__(self, repository_url: str, auth: tuple[str, str] | None) -> None:
        self._url = repository_url
        self._headers = (
            {"Authorization": "Basic " + base64.b64encode(":".join(auth).encode()).decode()}
            if auth
            else {}
        )
        # A proxy of the environment has no business between this and a registry on loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def blob(self, digest: str, data: bytes) -> None:
        """Upload `data` unless the registry has it."""
        if self._has(digest):
            return
        location = self.call("POST", "/blobs/uploads/")["Location"]
        target = urllib.parse.urljoin(self._url, location)
        target += ("&" if "?" in target else "?") + urllib.parse.urlencode({"digest": digest})
        self.call("PUT", target, data, "application/octet-stream")

    def call(
        self, method: str, target: str, data: bytes = b"", content_type: str = "application/json"
    ) -> Message:
        """Call `target` (a path in the repository, or a URL); return the answer's headers."""
        url = target if "://" in target else self._url + target
        body = None if method == "HEAD" else data
        headers = {**self._headers, "Content-Type": content_type}
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer: Message = response.headers
                return answer
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode(errors="replace")
            raise PushError(f"{method} {url}: {error.code} {said}", error.code) from None
        except OSError as error:
            raise PushError(f"{method} {url}: {error}") from error

    def _has(self, digest: str) -> bool:
        try:
            self.call("HEAD", f"/blobs/{digest}")
        except PushError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True


def _config(app: SampleApp, diff_ids: Sequence[str]) -> dict[str, object]:
    ports = ([f"{app.port}/tcp"] if app.port else []) + list(app.extra_ports)
    run: dict[str, object] = {
        "Cmd": list(app.cmd),
        "Env": [
            "PATH=/bin",
            f"PORT={app.port}",
            *(f"{name}={value}" for name, value in app.env.items()),
        ],
        "ExposedPorts": {port: {} for port in ports},
        "Labels": dict(app.labels),
        "StopSignal": "SIGTERM",
    }
    if app.volumes:
        run["Volumes"] = {path: {} for path in app.volumes}
    if app.entrypoint:
        run["Entrypoint"] = list(app.entrypoint)
    if app.healthcheck is not None:
        second = 1_000_000_000
        start = {"StartPeriod": app.start_period_s * second} if app.start_period_s else {}
        run["Healthcheck"] = {
            "Test": ["CMD-SHELL", app.healthcheck],
            "Interval": app.interval_s * second,
            "Timeout": 2 * second,
            "Retries": 3,
            **start,
        }
    config: dict[str, object] = {
        "architecture": app.architecture or own_architecture(),
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    if app.created is not None:
        config["created"] = app.created.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return config


@lru_cache(maxsize=4)
def _busybox_layer(busybox: Path) -> bytes:
    program = busybox.read_bytes()
    _check_static(busybox, program)
    tar = _Tar()
    for name, mode in (
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("proc", 0o755),
        ("tmp", 0o1777),
    ):
        tar.directory(name, mode)
    tar.file("bin/busybox", program, 0o755)
    for applet in _APPLETS:
        tar.link(f"bin/{applet}", "busybox")
    tar.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
    return tar.close()


def _app_layer(body: str, programs: Mapping[str, str]) -> bytes:
    tar = _Tar()
    tar.directory("www", 0o755)
    if programs:
        tar.directory("www/cgi-bin", 0o755)
    for name, text in programs.items():
        tar.file(name, text.encode(), 0o755)
    tar.file("www/fail", _FAIL.encode(), 0o755)
    tar.file("www/health", b"ok", 0o644)
    # httpd's ETag is made of date and length: a date that follows from the text keeps browsers from
    # showing the last version.
    date = int.from_bytes(hashlib.sha256(body.encode()).digest()[:3], "big")
    tar.file("www/index.html", body.encode(), 0o644, date)
    return tar.close()


def _check_static(path: Path, program: bytes) -> None:
    """Raise ValueError if `program` is not an ELF file or needs a loader."""
    if program[:5] != b"\x7fELF\x02":
        raise ValueError(
            f"{path} is not a 64-bit Linux program; install a static busybox (Debian: "
            "busybox-static)"
        )
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, table + size * number)[0] for number in range(count)]
    if _PT_INTERP in kinds:
        raise ValueError(
            f"{path} is not statically linked; install a static busybox (Debian: busybox-static)"
        )


class _Tar:
    """A tar archive in memory whose bytes depend on nothing but what is put into it."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in close()

    def directory(self, name: str, mode: int) -> None:
        self._tar.addfile(_entry(name, mode, tarfile.DIRTYPE))

    def file(self, name: str, data: bytes, mode: int, mtime: int = 0) -> None:
        entry = _entry(name, mode, tarfile.REGTYPE)
        entry.size, entry.mtime = len(data), mtime
        self._tar.addfile(entry, io.BytesIO(data))

    def link(self, name: str, target: str) -> None:
        entry = _entry(name, 0o777, tarfile.SYMTYPE)
        entry.linkname = target
        self._tar.addfile(entry)

    def close(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


def _entry(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type = mode, kind
    return entry


@lru_cache(maxsize=8)
def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(data), "digest": _digest(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
