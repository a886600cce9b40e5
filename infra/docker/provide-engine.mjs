import { addon } from '../setup/addon.mjs';
import { provide } from '../setup/setup.mjs';
import { tensorflow } from '../setup/tensorflow.mjs';

/** The two parts of the set-up that the gpu-worker image needs; its node modules are there already. */
await provide(tensorflow, console.log);
await provide(addon, console.log);
