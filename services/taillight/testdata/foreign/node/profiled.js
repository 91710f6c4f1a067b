'use strict';

// Starts Pyroscope's profiler, which reads its settings from the environment.
const { default: pyroscope } = require('@pyroscope/nodejs');

pyroscope.init();
pyroscope.start();
