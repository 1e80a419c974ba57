"""The synergy laboratory: does learning to read and to draw together help either? Many small models, compared in pairs.

`arms` and `diets` say what a model is fed, `plans` how much; `language` and `conditions` train one model each;
`measures` judges it; `results` keeps what was found; `statistics` and `report` turn it into tables; `command` runs it.
"""
