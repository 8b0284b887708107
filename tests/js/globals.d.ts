/** What bundle.py puts in front of every script: frcnn_edu/viz/palette.py as plain data. */
declare const FRCNN_EDU_PALETTE: {
  colors: Record<string, string>;
  states: Record<string, { key: string; label: string; color: string; dash: number[]; width: number }>;
  looks: Record<string, { key: string; label: string; color: string; dash: number[]; width: number }>;
  ramp: string[];
};

/** Set to [] to measure: each frame of a box canvas adds the script's time from event to drawn. */
declare var boxCanvasTimings: { kind: string; ms: number }[] | undefined;

/** Set to [] to measure: each pass of the playground adds the time in ms from the hand to the drawn picture. */
declare var playgroundTimings: number[] | undefined;
