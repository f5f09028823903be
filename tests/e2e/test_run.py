# SPDX-License-Identifier: Apache-2.0
"""Issue letter g: everything that ./dev run shows, asserted. The scenes assert; they are played in their order."""
import pytest

from demo import Quiet
from scenes import SCENES, World


@pytest.fixture(scope="module")
def world(lab):
    return World(lab, Quiet())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(world, scene):
    scene(world)
