import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.BufferedReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidationPolicyAdvisor;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;

/**
 * Validates the resources of FILE (a line each: name, tab, JSON) and prints for each: name, number of errors, microseconds,
 * the errors as "path: message" joined by " ;; ". With "warm" all are validated once before, so that the times are those of a
 * process that has run for a while.
 */
public class Validate {
  /** References that leave the resource are held to the types that they may point to, as ours are; by default they are not looked at. */
  static class TypesOfReferences extends FhirDefaultPolicyAdvisor {
    @Override
    public ReferenceValidationPolicy policyForReference(IResourceValidator v, Object context, String path, String url,
        IValidationPolicyAdvisor.ReferenceDestinationType destination) {
      return ReferenceValidationPolicy.CHECK_TYPE_IF_EXISTS;
    }
  }

  /** What a fetcher answers that has nothing: every URL may exist, no resource is at hand. */
  static Object nothing(Method method) {
    if (method.getReturnType() == boolean.class) {
      return method.getName().equals("resolveURL");
    }
    return method.getReturnType() == Set.class ? Set.of() : null;
  }

  record Case(String name, String json) {}

  public static void main(String[] args) throws Exception {
    FhirContext ctx = FhirContext.forR4();
    ValidationSupportChain chain = new ValidationSupportChain(
        new DefaultProfileValidationSupport(ctx),
        new CommonCodeSystemsTerminologyService(ctx),
        new InMemoryTerminologyServerValidationSupport(ctx),
        new SnapshotGeneratingValidationSupport(ctx));
    FhirValidator validator = ctx.newValidator();
    FhirInstanceValidator instance = new FhirInstanceValidator(chain);
    instance.setValidatorPolicyAdvisor(new TypesOfReferences());
    instance.setValidatorResourceFetcher((IValidatorResourceFetcher) Proxy.newProxyInstance(Validate.class.getClassLoader(),
        new Class<?>[] {IValidatorResourceFetcher.class}, (self, method, arguments) -> nothing(method)));
    validator.registerValidatorModule(instance);
    List<Case> cases = new ArrayList<>();
    try (BufferedReader in = Files.newBufferedReader(Path.of(args[0]))) {
      for (String line; (line = in.readLine()) != null; ) {
        int tab = line.indexOf('\t');
        cases.add(new Case(line.substring(0, tab), line.substring(tab + 1)));
      }
    }
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    if (args.length > 1 && args[1].equals("warm")) {
      for (Case c : cases) {
        run(validator, c);
      }
    }
    for (Case c : cases) {
      long start = System.nanoTime();
      List<String> errors = run(validator, c);
      long micros = (System.nanoTime() - start) / 1000;
      out.println(c.name + "\t" + errors.size() + "\t" + micros + "\t" + String.join(" ;; ", errors));
    }
    out.flush();
  }

  static List<String> run(FhirValidator validator, Case c) {
    List<String> errors = new ArrayList<>();
    try {
      for (SingleValidationMessage m : validator.validateWithResult(c.json).getMessages()) {
        if (m.getSeverity() == ResultSeverityEnum.ERROR || m.getSeverity() == ResultSeverityEnum.FATAL) {
          errors.add((m.getLocationString() + ": " + m.getMessageId() + ": " + m.getMessage()).replaceAll("[\\t\\r\\n]+", " "));
        }
      }
    } catch (RuntimeException | StackOverflowError e) {
      errors.add("EXCEPTION: " + e);
    }
    return errors;
  }
}
