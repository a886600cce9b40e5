import { bringUp, describeStack } from './bring-up.ts';

const stack = await bringUp();
console.log(describeStack(stack));
