/* torch's random numbers on a CPU, for the browser: torch.Generator().manual_seed(seed) and torch.randperm. */

const [STATE, SHIFT] = [624, 397];
const MATRIX = 0x9908b0df;

/** The Mersenne Twister MT19937: whole numbers below 2^32 (Matsumoto and Nishimura, 1998). */
class RandomNumbers {
  state = new Uint32Array(STATE);
  at = STATE;

  /** @param {number} seed */
  constructor(seed) {
    this.state[0] = seed;
    for (let i = 1; i < STATE; i++) {
      const before = this.state[i - 1];
      this.state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
  }

  renew() {
    const { state } = this;
    for (let i = 0; i < STATE; i++) {
      const joined = (state[i] & 0x80000000) | (state[(i + 1) % STATE] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % STATE] ^ (joined >>> 1) ^ (joined & 1 ? MATRIX : 0);
    }
    this.at = 0;
  }

  next() {
    if (this.at === STATE) this.renew();
    let y = this.state[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }
}

/**
 * The numbers below `count` in random order.
 * @param {number} count
 * @param {RandomNumbers} numbers
 */
function randomOrder(count, numbers) {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < count - 1; i++) {
    const other = i + (numbers.next() % (count - i));
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}

export { RandomNumbers, randomOrder };
