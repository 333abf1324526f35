"""The platform admin's pages: how all tenants fare, in numbers only, and what they stand on."""
