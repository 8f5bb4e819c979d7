"""All faults, in the order in which they are run: of processes, networks, clocks, disks, data, members."""

from tests.acceptance.campaign import faults as registry
from tests.acceptance.campaign import (
    faults_clock,
    faults_damage,
    faults_disk,
    faults_membership,
    faults_network,
    faults_process,
    faults_space,
)

_ORDER = (
    faults_process,
    faults_network,
    faults_clock,
    faults_disk,
    faults_space,
    faults_damage,
    faults_membership,
)

FAULTS = {
    fault.name: fault
    for module in _ORDER
    for fault in registry.FAULTS.values()
    if fault.steps.__module__ == module.__name__
}
