// The wheel's d3 announces itself to a module loader. This is as much of one as it takes.
"use strict";
window.require = { defined: () => false };
window.define = (_name, _needs, make) => make((window.d3 = {}));
