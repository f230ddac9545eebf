"""Regular expressions of what people write: subsets of what the server accepts, to draw from.

Written in what ECMAScript, Python and Rust share. The published schema does not carry them, because
it accepts everything that the server accepts.
"""

NAME = r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$"
TAG = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
NO_NUL = r"^[^\x00]*$"
NO_CONTROLS_NO_COLON = r"^[^\x00-\x1f\x7f:]*$"
LINE = r"^[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
ENV_NAME = r"^[^=\x00]+$"
HEALTHCHECK = r"^(?:image|/[!-~]*)?$"
FILE_NAME = r"^\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$"
VOLUME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
VOLUME_PATH = (
    r"^(?!/(?:proc|sys|dev|run/secrets)(?:/|$))(?!/run$)"
    r"(?:/(?:[A-Za-z0-9_@+-]|\.[A-Za-z0-9_@+-]|\.\.[A-Za-z0-9_.@+-])[A-Za-z0-9_.@+-]*)+$"
)
MEMORY = r"^(?:[1-9][0-9]{1,5}(?:\.[0-9]{1,3})?[mM]|[1-9][0-9]{0,4}(?:\.[0-9]{1,3})?[gG])[bB]?$"
USER = r"^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?)?$"
NETWORK = r"^(?!(?:host|none|bridge|default)$)[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
LABEL = r"^(?!tagboat\.)[!-<>-~]{1,128}$"
SIGNAL = (
    r"^(?:(?:SIG)?(?:HUP|INT|QUIT|ABRT|KILL|USR1|USR2|ALRM|TERM|CONT|WINCH)"
    r"|[1-9]|[1-5][0-9]|6[0-4])?$"
)
EXTRA_HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
EXTRA_ADDRESS = (
    r"^(?:host-gateway|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4})$"
)
TMPFS_OPTIONS = (
    r"^(?:(?:rw|ro|exec|noexec|nosuid|nodev|noatime|size=[1-9][0-9]{0,11}[kmg%]?"
    r"|mode=[0-7]{3,4}|uid=[0-9]{1,9}|gid=[0-9]{1,9}|nr_inodes=[1-9][0-9]{0,9}[kmg]?)"
    r"(?:,(?!$)|$))*$"
)
BIND = r"^(?:/[A-Za-z0-9_-]+)+:(?!/(?:proc|sys|dev|run)(?:/|:|$))(?:/[A-Za-z0-9_-]+)+(?::ro|:rw)?$"
DEVICE = r"^/dev(?:/[A-Za-z0-9_-]+)+(?::/dev(?:/[A-Za-z0-9_-]+)+(?::(?:rwm|rw|r|w|m))?)?$"
_TCP_PORT = (
    r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
PUBLISHED = rf"^(?:127\.0\.0\.1:|0\.0\.0\.0:)?{_TCP_PORT}:{_TCP_PORT}(?:/tcp|/udp)?$"
PEM = r"^(?:[^\x00]*-----BEGIN CERTIFICATE-----[^\x00]*)?$"
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
HEADER_VALUE = r"^[!-~](?:[ -~]*[!-~])?$"
IMAGE_GLOB = (
    r"^(?:\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\](?::[0-9]{1,5})?/)?"
    r"[A-Za-z0-9_.:*?-]+(?:/[A-Za-z0-9_.:*?-]+)*$"
)
CAPABILITY = r"^(?:CAP_)?(?:CHOWN|NET_ADMIN|NET_RAW|SYS_NICE|SYS_PTRACE|SETUID|KILL|MKNOD)$"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = rf":{_TCP_PORT}"
_HEX = r"[0-9A-Fa-f]{1,4}"
_IPV6 = rf"\[(?:(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}:){{1,6}}:{_HEX}|::1)\]"
DOMAIN = rf"^{_LABEL}(?:\.{_LABEL})*$"
DOMAIN_OR_NONE = rf"^(?:{_LABEL}(?:\.{_LABEL})*)?$"
REGISTRY_URL = (
    rf"^https?://(?:{_LABEL}(?:\.{_LABEL})*|{_IPV6})(?:{_PORT})?(?:/[A-Za-z0-9._~-]+)*/?$"
)

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PART_UNLIKE_HOST = r"[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*"
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = (
    rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})+(?:{_PORT})?|{_HOST_LABEL}{_PORT}|localhost"
    rf"|{_IPV6}(?:{_PORT})?)"
)
_WITH_HOST = rf"{_HOST}(?:/{_PART})+"
_WITHOUT_HOST = rf"(?:{_PART}|{_PART_UNLIKE_HOST}(?:/{_PART})+)"
_TAG_AND_DIGEST = r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?)?"
IMAGE_WITH_HOST = f"^{_WITH_HOST}$"
IMAGE_WITHOUT_HOST = f"^{_WITHOUT_HOST}$"
REF_WITH_HOST = f"^{_WITH_HOST}{_TAG_AND_DIGEST}$"
REF_WITHOUT_HOST = f"^{_WITHOUT_HOST}{_TAG_AND_DIGEST}$"

_SHORTHAND = r"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)"
_EVERY = r"@every (?:[1-9][0-9]{0,3}[sm]|[1-9][0-9]{0,2}h(?:[1-5]?[0-9]m)?)"
_ZONE = r"(?:CRON_TZ=(?:UTC|Europe/Berlin|America/New_York|Asia/Tokyo) )?"
_MINUTE = r"(?:\*(?:/[1-5]?[1-9])?|[1-5]?[0-9](?:,[1-5]?[0-9])*|[0-9]-[1-5][0-9])"
_HOUR = r"(?:\*(?:/[1-9])?|(?:1?[0-9]|2[0-3])(?:,(?:1?[0-9]|2[0-3]))*|[0-9]-(?:1[0-9]|2[0-3]))"
_DAY = r"(?:\*(?:/[1-9])?|(?:1?[1-9]|2[0-8])(?:,(?:1?[1-9]|2[0-8]))*|[1-9]-(?:1[0-9]|2[0-8]))"
_MONTH = r"(?:\*(?:/[1-6])?|(?:[1-9]|1[0-2])(?:,(?:[1-9]|1[0-2]))*|[1-9]-1[0-2]|jan|apr|jul|oct)"
_WEEKDAY = r"(?:\*|[0-7](?:,[0-7])*|[01]-[2-7]|mon-fri|sun|mon|tue|wed|thu|fri|sat)"
SCHEDULE = f"^(?:{_SHORTHAND}|{_EVERY}|{_ZONE}{_MINUTE} {_HOUR} {_DAY} {_MONTH} {_WEEKDAY})$"

_PRINTABLE = r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]"
_CLASS_CHAR = rf"(?:(?![\\\]-]){_PRINTABLE}|\\{_PRINTABLE})"
_CLASS = rf"\[(?:\^|(?!\^))(?:{_CLASS_CHAR}(?:-{_CLASS_CHAR})?)+\]"
_GLOB = rf"(?!\s*[A-Za-z0-9_.+-]+\s*:)(?:(?![\\\[]){_PRINTABLE}|\\{_PRINTABLE}|{_CLASS})+"

_NUMBER = r"(?:0|[1-9][0-9]{0,5})"
_PATCH = rf"(?:[xX*]|{_NUMBER}(?:-[a-z]{{1,10}}(?:\.{_NUMBER})?)?)"
_VERSION = rf"v?{_NUMBER}(?:\.(?:[xX*]|{_NUMBER}(?:\.{_PATCH})?))?"
_BOUND = rf"(?:<=|>=|<|>|=|~|\^)?{_VERSION}"
_ALTERNATIVE = rf"(?:\*|{_BOUND}(?: {_BOUND})*|{_VERSION} - {_VERSION})"
_SEMVER = rf"semver:{_ALTERNATIVE}(?: \|\| {_ALTERNATIVE})*"

_ATOM = r"(?:[A-Za-z0-9_.-]|\\[dDwW.+-]|\[\^?(?:[A-Z_.]|a-z|0-9)+\])(?:[*+?]|\{[1-9][0-9]?\})?"
_GROUP = rf"\((?:\?:)?(?:{_ATOM})+(?:\|(?:{_ATOM})+)*\)[*+?]?"
_BRANCH = rf"(?:{_ATOM}|{_GROUP})+"
_REGEX = rf"regex:(?:\(\?i\))?\^?{_BRANCH}(?:\|{_BRANCH})*\$?"
TAG_PATTERN = f"^(?:{_GLOB}|{_SEMVER}|{_REGEX})$"
