"""The asyncio-native Python SDK for SmartX CloudTower."""
