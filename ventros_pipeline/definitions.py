"""The code location that `workspace.yaml` names."""

from ventros_pipeline.build import build_defs
from ventros_pipeline.environment import load_env_file

load_env_file()
defs = build_defs()
