"""Dashboard in the browser: FastAPI, one shared session, server-sent events.

    python -m examples.fastapi_dashboard

shows a simulated CloudTower, or a real one if ``CLOUDTOWER_ENDPOINT`` and so on are set.
"""
