"""A dashboard on a web page: FastAPI, one session for all, server-sent events.

    python -m examples.fastapi_dashboard

shows a simulated CloudTower; with ``CLOUDTOWER_ENDPOINT`` and the other variables, a real one.
"""
