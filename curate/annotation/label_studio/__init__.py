"""Label Studio as the annotation server: projects, tasks, push and pull."""
