"""Input modalities on the compiling side: what a spec may write of them and how the plan fixes them."""
