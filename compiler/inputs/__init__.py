"""Input modalities on the compiling side: keys under `data`, and preprocessing in the plan."""
