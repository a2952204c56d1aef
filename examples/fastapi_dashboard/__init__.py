"""Dashboard in the browser, with FastAPI, one shared session and server-sent events.

    python -m examples.fastapi_dashboard

This command shows a simulated CloudTower. If ``CLOUDTOWER_ENDPOINT`` and the credentials are set,
it shows a real CloudTower.
"""
