"""The wheel's native code (schemas/native and agents/detectors/deviation), compiled where the wheel
is built. Without a C compiler the wheel has none: what it installs is slower, and judges no series.
"""

import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling, for wheels and for installations that are edited in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles; a wheel that has the library is for this kind of machine only."""
        spec = spec_from_file_location(
            "building", Path(self.root, "schemas", "native", "building.py")
        )
        assert spec is not None
        assert spec.loader is not None
        building = module_from_spec(spec)
        spec.loader.exec_module(building)
        try:
            building.build_all()
        except building.CannotCompile as why:
            # One of an older source would be packed.
            building.LIBRARY.unlink(missing_ok=True)
            building.JUDGE.with_suffix(".so").unlink(missing_ok=True)
            self.app.display_warning(
                f"sentinel: {why}; records will be decoded without it, at a fraction of the speed,"
                " and series are not judged"
            )
            return
        build_data["pure_python"] = False
        build_data["tag"] = (
            f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        )
