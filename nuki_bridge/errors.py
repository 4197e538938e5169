"""Every exception of nuki-bridge, in one tree.

The class says whose fault it is: ours (`ProtocolError`), the lock's (`LockError`), the radio's (`LinkError`), the
asker's (`RequestError`), the operator's (`ConfigError`, `StoreError`, `PageError`) or the broker's (`BrokerError`).
`code` is the lower-snake-case word that MQTT answers carry in `error`; `str()` is the sentence for `message`.  Neither
ever holds a secret.
"""

from __future__ import annotations


class NukiError(Exception):
    """Root of the tree; `code` is the word for `error` in an MQTT answer."""

    code = "internal"


# -- the protocol: bytes that make no sense ---------------------------------------------------------------------------


class ProtocolError(NukiError):
    """A message breaks the Bluetooth protocol."""

    code = "protocol_error"


class BadFrame(ProtocolError):
    """A frame cannot be read: too short, wrong CRC, or it does not decrypt under the key."""


class UnexpectedMessage(ProtocolError):
    """A well-formed message that has no place at this point of an exchange."""


# -- the lock: it understood and refused ------------------------------------------------------------------------------


class LockError(NukiError):
    """The lock answered with an Error Report (0x0012).

    `number` is the error code on the wire (0..255), `command` the command identifier it names (0 if unknown).
    """

    def __init__(self, code: str, message: str, *, number: int = 0xFF, command: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.number = number
        self.command = command


# -- the radio: nothing reached the lock, or nothing came back --------------------------------------------------------


class LinkError(NukiError):
    """The Bluetooth link failed."""

    code = "link_error"


class NotFound(LinkError):
    """The lock was not seen: out of range, without power, or its address is wrong."""

    code = "not_found"


class Disconnected(LinkError):
    """The link went away under an exchange."""

    code = "disconnected"


class TimedOut(LinkError):
    """No answer within the deadline."""

    code = "timeout"


class AdapterUnavailable(LinkError):
    """No usable Bluetooth adapter: none present, powered off, or bluetoothd is not running."""

    code = "adapter_unavailable"


# -- the asker --------------------------------------------------------------------------------------------------------


class RequestError(NukiError):
    """A command or request that is refused before it reaches a lock; `code` says which rule it broke."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# -- the operator -----------------------------------------------------------------------------------------------------


class ConfigError(NukiError):
    """The configuration is wrong; `mistakes` holds one `FILE:LINE: path: what` line for each."""

    code = "bad_config"

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class StoreError(NukiError):
    """The state database cannot be used; it has been left as it was."""

    code = "store_error"


class StateInUse(StoreError):
    """Another process has the state directory open: the daemon, most likely."""


class UnusableState(StoreError):
    """The state directory cannot be used as it is, and that does not mend itself: the operator has to."""


class PageError(NukiError):
    """The phone page cannot be served: its files, its port or its certificate are not as they have to be."""

    code = "page_error"


class BrokerError(NukiError):
    """The MQTT broker refused us or cannot be reached."""

    code = "broker_error"
