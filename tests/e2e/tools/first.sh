#!/bin/tac
escaped
