"""The compiled core: products, panels, and the step that calls them by address."""
