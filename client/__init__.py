"""What people type: `interward`. Talks to chains and hospitals over HTTP only."""
