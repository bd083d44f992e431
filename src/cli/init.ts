import { isServingError } from '../core/errors.ts';
import { readArguments, refuseArguments } from './arguments.ts';
import { EXIT_FAILED, EXIT_OK, type Host } from './host.ts';
import { createProject, isTemplate, startCommand, TEMPLATES, type Template } from './project.ts';

/**
 * A label of DNS, because it names an InferenceService and, with `-transformer-default` and a revision behind it, pods: not longer than leaves room for those.
 */
const NAME = /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/;

/** `init NAME`: writes a small project into a new directory of that name. */
export async function runInit(args: readonly string[], host: Host): Promise<number> {
  const wanted = await readArguments(args, { word: 'one name', usage: 'init NAME [--template TEMPLATE]', flags: ['template'] });
  if ('problems' in wanted) return refuseArguments(wanted.problems, host);
  const { word: name, values } = wanted;
  const { template = 'predictor' } = values;
  if (!NAME.test(name)) {
    const shown = JSON.stringify(name.slice(0, 60));
    return refuseArguments(
      [`cannot name a project ${shown}: expected 1 to 40 of a-z, 0-9 and "-", starting with a letter and not ending in "-"`],
      host,
    );
  }
  if (!isTemplate(template)) {
    const { didYouMean } = await import('../options/index.ts');
    const names = Object.keys(TEMPLATES);
    return refuseArguments([`unknown template ${JSON.stringify(template)}${didYouMean(template, names)} (templates: ${names.join(', ')})`], host);
  }
  try {
    host.stdout.write(renderProject(name, template, await createProject(name, template)));
    return EXIT_OK;
  } catch (error) {
    if (!isServingError(error)) throw error;
    host.stderr.write(`${error.message}\n`);
    return EXIT_FAILED;
  }
}

function renderProject(name: string, template: Template, files: readonly string[]): string {
  const listed = files.map((file) => `  ${name}/${file}\n`).join('');
  return `Wrote ${TEMPLATES[template].summary}\n${listed}
Next
  cd ${name}
  npm install
  npm test
  npx ${startCommand(name, template)}
`;
}
