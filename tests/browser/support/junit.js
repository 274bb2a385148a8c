// A reporter for node --test: JUnit XML, which tests/run.sh counts. (Node 18 has none.)

const escape = (text) => String(text).replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)
  .replace(/[^\t\n\x20-\ud7ff\ue000-\ufffd]/g, '?');

function caseOf({ name, skip, details }, type) {
  const attributes = `name="${escape(name)}" time="${((details?.duration_ms ?? 0) / 1000).toFixed(3)}"`;
  if (type === 'test:fail') {
    const { error } = details;
    return `<testcase ${attributes}><failure>${escape(error?.cause?.stack ?? error)}</failure></testcase>\n`;
  }
  const isSkipped = skip !== undefined && skip !== false;
  return `<testcase ${attributes}>${isSkipped ? `<skipped message="${escape(skip)}"/>` : ''}</testcase>\n`;
}

export default async function* junit(events) {
  yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuite name="browser">\n';
  for await (const { type, data } of events) {
    const isSuite = data?.details?.type === 'suite';
    if ((type === 'test:pass' || type === 'test:fail') && !isSuite) {
      yield caseOf(data, type);
    }
  }
  yield '</testsuite>\n';
}
