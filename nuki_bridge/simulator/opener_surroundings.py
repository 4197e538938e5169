"""What people do to a virtual Opener, without Bluetooth: bell, button and training; `people` has the rest."""

from __future__ import annotations

from typing import Any

from nuki_bridge.protocol.codes import Completion, OpenerAction, Trigger
from nuki_bridge.simulator.opener_device import OpenerDevice
from nuki_bridge.simulator.opener_motion import OpenerMotion
from nuki_bridge.simulator.people import People

_SOURCE_APP = 2


class OpenerSurroundings(People):
    """People and things around one Opener."""

    def __init__(self, device: OpenerDevice, motion: OpenerMotion) -> None:
        super().__init__(device, motion)
        self._device: OpenerDevice = device
        self._motion = motion

    def ring(self) -> None:
        """Ring the doorbell; in ring to open and in continuous mode that opens the door."""
        self._motion.ring()

    def press_button(self, count: int = 1) -> None:
        """Press the button once or twice; the configuration says what that does."""
        if count not in (1, 2):
            raise ValueError(f"the button is pressed once or twice, not {count} times")
        self._device.note("button", detail=str(count))
        advanced = self._device.advanced
        configured = advanced.single_button_press_action if count == 1 else advanced.double_button_press_action
        action = self._motion.fob_action(configured)
        if not self._device.settings.button_enabled or action is None:
            self._device.log_action(OpenerAction.BUTTON_NO_ACTION, Trigger.BUTTON, Completion.SUCCESS)
        elif self._motion.calibrated and not self._motion.busy:
            self._motion.start_logged(action, Trigger.BUTTON)

    def use_keypad(self, *args: Any, code_id: int = 0, **kwargs: Any) -> None:
        """Use the keypad, as `People.use_keypad` says; a ring that it lets open tells the code in the log."""
        self._motion.typed_code_id = code_id
        super().use_keypad(*args, code_id=code_id, **kwargs)
        self._motion.typed_code_id = 0

    def switch_rto(self, on: bool) -> None:
        """Switch ring to open as the app does."""
        self._motion.switch(OpenerAction.ACTIVATE_RTO if on else OpenerAction.DEACTIVATE_RTO, _SOURCE_APP)

    def switch_continuous_mode(self, on: bool) -> None:
        """Switch continuous mode as the app does."""
        action = OpenerAction.ACTIVATE_CONTINUOUS_MODE if on else OpenerAction.DEACTIVATE_CONTINUOUS_MODE
        self._motion.switch(action, _SOURCE_APP)

    def uncalibrate(self, lost: bool = True) -> None:
        """Forget the intercom, or be trained for it again."""
        self._motion.strike.cancel()
        self._motion.strike.trained = not lost
        self._device.changed()

    def rewire(self, capabilities: int) -> None:
        """Wire the Opener in another way: 0 to open only, 1 both, 2 ring to open only."""
        self._device.settings.capabilities = capabilities
        self._device.config_changed()
