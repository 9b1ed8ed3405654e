// Work under way, of which others wait for the end, however it ends.

export function pending() {
  let all = Promise.resolve();
  return {
    add: (work) => { all = Promise.all([all, work.catch(reportError)]); return all; },
    settled: () => all,
  };
}
