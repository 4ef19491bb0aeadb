"""The web server behind `edge-mcnn web`: a page that shows the device live, and its history. No numpy."""
