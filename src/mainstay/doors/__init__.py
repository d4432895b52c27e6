"""The command line, HTTP and the page: generic over operations and views."""
