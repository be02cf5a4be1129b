"""What changes between two plans: for users of the bundle, in the stages that a build runs, and in what it costs."""
