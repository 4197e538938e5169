"""The Keyturner States of a virtual Smart Lock; an Opener has states of another layout."""

from __future__ import annotations

from nuki_bridge.protocol.codes import Family, NukiState
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.simulator.lock_device import LockDevice
from nuki_bridge.simulator.motor import Motor


def keyturner_states(device: LockDevice, motor: Motor) -> KeyturnerStates:
    """Return all that a lock can tell of itself; whoever sends it cuts it to the size of the lock's firmware."""
    battery = int(device.battery_critical)
    if device.behaviour.states_size_of(device.family) > 20:
        battery |= device.battery_charging << 1 | device.battery_percent // 2 << 2
    modern = device.family is Family.ULTRA
    return KeyturnerStates(
        nuki_state=NukiState.PAIRING_MODE if device.pairing_mode else NukiState.DOOR_MODE,
        lock_state=motor.state,
        trigger=motor.trigger,
        current_time=device.clock.told(),
        timezone_offset_min=device.told_offset_min,
        battery_state=battery,
        config_update_count=device.config_update_count,
        lock_n_go_timer=motor.wait_left_s(),
        last_action=motor.last_action,
        last_trigger=motor.last_trigger,
        last_completion=motor.last_completion,
        door_state=device.door,
        night_mode_active=device.is_night,
        accessory_battery_state=device.accessory_battery_state,
        remote_access_status=0x0D if modern else 0,
        ble_rssi=1 if modern else 0,
        wifi_rssi=-47 if modern else 0,
        wifi_status=0xEF if modern else 0,
        mqtt_status=3 if modern and device.behaviour.speaks_mqtt else 0,
        thread_status=0,
    )
