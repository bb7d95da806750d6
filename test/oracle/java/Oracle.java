import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.*;
import java.nio.file.*;
import org.hl7.fhir.common.hapi.validation.support.*;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

/** HAPI's validator over files: prints, for each, its name and its errors, tab-separated. */
public class Oracle {
  public static void main(String[] files) throws Exception {
    FhirContext context = FhirContext.forR4();
    ValidationSupportChain chain = new ValidationSupportChain(new DefaultProfileValidationSupport(context), new InMemoryTerminologyServerValidationSupport(context), new CommonCodeSystemsTerminologyService(context));
    FhirInstanceValidator instance = new FhirInstanceValidator(new CachingValidationSupport(chain));
    instance.setErrorForUnknownProfiles(false);
    instance.setAnyExtensionsAllowed(true);
    instance.setNoTerminologyChecks(false);
    FhirValidator validator = context.newValidator().registerValidatorModule(instance);
    for (String name : Files.readAllLines(Path.of(files[0]))) {
      ValidationResult result = validator.validateWithResult(Files.readString(Path.of(name)));
      StringBuilder line = new StringBuilder(Path.of(name).getFileName().toString());
      for (SingleValidationMessage m : result.getMessages())
        if (m.getSeverity() == ResultSeverityEnum.ERROR || m.getSeverity() == ResultSeverityEnum.FATAL) line.append('\t').append(m.getLocationString()).append(": ").append(String.valueOf(m.getMessage()).replaceAll("\\s+", " "));
      System.out.println(line);
    }
  }
}
