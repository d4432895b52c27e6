"""The pages: views as HTML and SVG, drawn on the server, complete without JavaScript."""
