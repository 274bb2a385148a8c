"""What the end-to-end tests share: the gateway under test, a scripted upstream, a raw client."""
