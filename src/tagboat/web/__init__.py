"""The web pages: a face of `operations`, like the API and the command line.

A page is one module in `pages/`: it parses the query, asks one operation, and fills a template of
`templates/`. ARCHITECTURE.md says where each part of a new page goes.
"""
