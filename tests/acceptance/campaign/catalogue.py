"""All faults, in the order in which they are run."""

from tests.acceptance.campaign import faults_clock, faults_disk, faults_network, faults_process
from tests.acceptance.campaign.faults import FAULTS

__all__ = ["FAULTS", "faults_clock", "faults_disk", "faults_network", "faults_process"]
