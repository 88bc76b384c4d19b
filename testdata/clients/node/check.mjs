import { deepStrictEqual } from 'node:assert';

/** Gives a function that prints what a client saw and ends the program where it is not what was wanted. */
export const check = (client) => (step, got, want) => {
  deepStrictEqual(got, want, `${client}: ${step}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  console.log(`${client}: ${step}: ${JSON.stringify(got)}`);
};
